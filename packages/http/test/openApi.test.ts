import { assert, describe, expect, it } from "@effect/vitest"
import { HeartbeatHandler } from "@everbeat/http"
import { createConfig, lintFromString } from "@redocly/openapi-core"
import spectral from "@stoplight/spectral-core"
import rulesets from "@stoplight/spectral-rulesets"
import { Effect } from "effect"
import { acquire, auth, heartbeats, host, read, requestOf, secrets, type Wire } from "./harness.ts"

/** Their types are those of another version of their own packages. */
const ruleset: Wire = rulesets.oas

/** Spectral counts from the worst on. */
const isMostSevere = (severity: number): boolean => severity === 0

/** Warnings that are as they are to be, with the reason. */
const accepted = new Set([
  "no-illogical-composition-keywords", // a payload is any JSON value: its schema is empty
  "operation-4xx-response", // a probe without parameters and tokens has no mistakes to make
  "info-contact", // the document is the host's, which the generator does not know
  "info-description"
])

const served = (basePath = "") =>
  Effect.gen(function*() {
    const verify = yield* auth
    const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer: host, basePath }))
    const { json } = yield* Effect.promise(async () =>
      read(await handler.fetch(requestOf(`${basePath}/api/openapi.json`, { token: secrets.triage })))
    )
    return json
  })

describe("openapi.json", () => {
  it("is what was reviewed", async () => {
    const document = await Effect.runPromise(Effect.scoped(served()))
    await expect(`${JSON.stringify(document, null, 2)}\n`).toMatchFileSnapshot("openapi.json.snap")
  })

  for (const basePath of ["", "/internal"]) {
    it.live(`breaks no recommended rule of Redocly and Spectral, served below '${basePath}'`, () =>
      Effect.gen(function*() {
        const document = yield* served(basePath)
        const linter = new spectral.Spectral()
        linter.setRuleset({ extends: [[ruleset, "recommended"]] })
        const found = yield* Effect.promise(async () => [
          ...(await lintFromString({
            source: JSON.stringify(document),
            config: await createConfig({ extends: ["recommended"] })
          })).map(({ message, ruleId, severity }) => ({ rule: ruleId, message, isError: severity === "error" })),
          ...(await linter.run(document)).map(({ code, message, severity }) => ({
            rule: String(code),
            message,
            isError: isMostSevere(severity)
          }))
        ])
        assert.deepStrictEqual(found.filter(({ isError, rule }) => isError || !accepted.has(rule)), [])
      }))
  }
})
