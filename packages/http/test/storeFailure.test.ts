import { assert, describe, it } from "@effect/vitest"
import { StoreError } from "@everbeat/core/StoreError"
import { Effect } from "effect"
import { beat, heartbeats, hostWith, problem, secrets, serving } from "./harness.ts"

const down = (operation: string) =>
  Effect.fail(new StoreError({ operation, reason: "unavailable", detail: "db-7.internal:5432 refused evbuser" }))

describe("a failing store", () => {
  it.live("at begin is 503, and says nothing of the store's own words", () =>
    Effect.gen(function*() {
      const { call } = yield* serving(
        heartbeats.triage,
        hostWith({ checkpoints: () => ({ begin: () => down("begin") }) })
      )
      const { headers, json, status, text } = yield* beat(call)
      assert.strictEqual(status, 503)
      assert.strictEqual(json.type, problem("store-unavailable"))
      assert.isNotNull(headers.get("retry-after"))
      assert.notInclude(text, "db-7")
    }))

  it.live("at settle is 503 with the report embedded", () =>
    Effect.gen(function*() {
      const { call } = yield* serving(
        heartbeats.triage,
        hostWith({ checkpoints: () => ({ settle: () => down("settle") }) })
      )
      const { headers, json, status } = yield* beat(call)
      assert.strictEqual(status, 503)
      assert.strictEqual(json.type, problem("run-not-recorded"))
      assert.isNotNull(headers.get("retry-after"))
      assert.strictEqual(json.report.runId, json.runId)
      assert.strictEqual(json.report.status, "error")
      assert.deepStrictEqual(json.report.touchedIssueUrls, ["https://issues.test/7"])
      assert.match(json.report.startedAt, /Z$/u)
    }))

  it.live("at reading is 503", () =>
    Effect.gen(function*() {
      const { call } = yield* serving(
        heartbeats.triage,
        hostWith({ runs: () => ({ list: () => down("list"), get: () => down("get") }) })
      )
      const options = { token: secrets.triage }
      const id = "01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01"
      assert.strictEqual((yield* call("/api/agents/triage/runs", options)).json.type, problem("store-unavailable"))
      assert.strictEqual(
        (yield* call(`/api/agents/triage/runs/${id}`, options)).json.type,
        problem("store-unavailable")
      )
    }))

  it.live("that dies is 500 without details", () =>
    Effect.gen(function*() {
      const { call } = yield* serving(
        heartbeats.triage,
        hostWith({ runs: () => ({ list: () => Effect.die(new Error("secret of the host")) }) })
      )
      const { headers, json, status, text } = yield* call("/api/agents/triage/runs", { token: secrets.triage })
      assert.strictEqual(status, 500)
      assert.strictEqual(json.type, problem("internal-error"))
      assert.strictEqual(headers.get("content-type"), "application/problem+json")
      assert.isNotNull(headers.get("x-request-id"))
      assert.notInclude(text, "secret")
    }))
})
