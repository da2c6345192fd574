import type { AgentRun, Diagnostic, Fault, Report } from "@everbeat/core"
import { describe, expect, test } from "tstyche"
import type { MissingOwner, RateLimited, Stale, TokenRevoked } from "./fixtures.ts"

type Pass = Report.Report<MissingOwner | Stale, RateLimited | TokenRevoked>
type Codes<D extends ReadonlyArray<{ readonly code: string }>> = D[number]["code"]

declare const report: Pass

describe("Report", () => {
  test("keeps warnings and errors apart", () => {
    expect(report.warnings).type.toBe<
      ReadonlyArray<Diagnostic.Diagnosed<MissingOwner | Stale | Fault.WarningFault>>
    >()
    expect(report.errors).type.toBe<
      ReadonlyArray<Diagnostic.Diagnosed<RateLimited | TokenRevoked | Fault.Fault>>
    >()
    expect<Extract<Codes<Pass["errors"]>, "MissingOwner" | "Stale">>().type.toBe<never>()
    expect<Extract<Codes<Pass["warnings"]>, "RateLimited" | "TokenRevoked">>().type.toBe<never>()
  })

  test("lists every code, those of the engine included", () => {
    expect<Codes<Pass["errors"]>>().type.toBe<
      | "RateLimited"
      | "TokenRevoked"
      | "Defect"
      | "StepTimeout"
      | "StepInterrupted"
      | "DeadlineExceeded"
      | "ResultRefused"
      | "AttemptsExhausted"
      | "RunNotRecorded"
      | "OutcomeNotSaved"
    >()
    expect<Exclude<Codes<Pass["warnings"]>, Fault.Fault["_tag"]>>().type.toBe<
      "MissingOwner" | "Stale" | "DiagnosticsTruncated"
    >()
  })

  test("narrows the live value by its code", () => {
    for (const warning of report.warnings) {
      if (warning.code === "MissingOwner") expect(warning.value?.count).type.toBe<number | undefined>()
    }
    for (const error of report.errors) {
      if (error.code === "RateLimited") expect(error.value).type.toBe<RateLimited | undefined>()
      if (error.code === "StepTimeout") expect(error.value).type.toBe<Fault.StepTimeout | undefined>()
    }
  })

  test("may have no live value: it can be a replay", () => {
    for (const error of report.errors) {
      if (error.code === "RateLimited") {
        // @ts-expect-error 'error.value' is possibly 'undefined'
        expect(error.value.repo).type.toBe<string>()
      }
    }
  })

  test("has only the engine's faults when nothing critical is left", () => {
    expect<Codes<Report.Report<never, never>["errors"]>>().type.toBe<Fault.Fault["_tag"]>()
  })

  test("gives an untagged failure a diagnostic of any code, with its value", () => {
    expect<Diagnostic.Diagnosed<string>>().type.toBe<Diagnostic.Coded<string, string>>()
    expect<Diagnostic.Diagnosed<never>>().type.toBe<never>()
    expect<Diagnostic.Diagnosed<Stale | Error>>().type.toBe<
      Diagnostic.Coded<"Stale", Stale> | Diagnostic.Coded<string, Error>
    >()
  })

  test("is never cancelled: a cancelled pass has no report", () => {
    expect(report.status).type.toBe<"ok" | "warning" | "error">()
    expect<Exclude<AgentRun.SettledStatus, Pass["status"]>>().type.toBe<"cancelled">()
  })

  test("is covariant in both channels", () => {
    expect(report).type.toBeAssignableTo<Report.AnyReport>()
    expect(report).type.toBeAssignableTo<Report.Report<MissingOwner | Stale | Error, RateLimited | TokenRevoked>>()
    expect(report).type.not.toBeAssignableTo<Report.Report<MissingOwner, RateLimited | TokenRevoked>>()
    expect(report).type.not.toBeAssignableTo<Report.Report<MissingOwner | Stale, RateLimited>>()
  })

  test("cannot be changed", () => {
    // @ts-expect-error Cannot assign to 'status' because it is a read-only property
    report.status = "ok"
    expect(report.warnings).type.not.toHaveProperty("push")
  })
})

describe("PassEvent", () => {
  type Event = Report.PassEvent<MissingOwner, RateLimited>

  test("ends with the typed report", () => {
    expect<Extract<Event, { readonly _tag: "PassEnded" }>["report"]>().type.toBe<
      Report.Report<MissingOwner, RateLimited>
    >()
  })

  test("carries typed warnings, the engine's included", () => {
    expect<Extract<Event, { readonly _tag: "Warned" }>["warning"]>().type.toBe<
      Diagnostic.Diagnosed<MissingOwner | Fault.WarningFault>
    >()
  })

  test("has these tags", () => {
    expect<Event["_tag"]>().type.toBe<"PassStarted" | "StepStarted" | "Warned" | "StepEnded" | "PassEnded">()
  })
})
