import { assert, describe, it } from "@effect/vitest"
import { AgentName, PassError, RunId, StoreError } from "@everbeat/core"
import { problemOf } from "../../src/internal/problemOf.ts"

const runId = RunId.make(AgentName.make("triage"))

describe("problemOf", () => {
  for (
    const [error, slug, status] of [
      [new PassError.InvalidInput({ field: "key", detail: "no" }), "invalid-request", 400],
      [new StoreError.AgentBusy({ runId, retryAfterMillis: 10 }), "run-in-progress", 409],
      [new PassError.PassCancelled({ runId }), "run-cancelled", 409],
      [new PassError.DefinitionChanged({ runId, name: "dispatch" }), "run-not-resumable", 409],
      [new PassError.CheckpointUnreadable({ runId, detail: "row says s3cret" }), "run-not-resumable", 409],
      [new StoreError.KeyMismatch({ key: "k", runId }), "idempotency-key-reused", 422],
      [
        new StoreError.StoreError({ operation: "begin", reason: "refused", detail: "s3cret" }),
        "store-unavailable",
        503
      ],
      [new PassError.EngineStopped({}), "shutting-down", 503],
      [new PassError.PassInterrupted({ runId }), "run-interrupted", 503],
      [new PassError.LeaseLost({ runId }), "run-interrupted", 503]
    ] as const
  ) {
    it(`${error._tag} is ${status} ${slug}, and its detail says what to do`, () => {
      const problem = problemOf(error)
      assert.strictEqual(problem.status, status)
      assert.strictEqual(problem.type, `https://everbeat.dev/problems/${slug}`)
      assert.isAbove(problem.detail.length, 10)
      assert.notInclude(problem.detail, "s3cret")
      assert.strictEqual("retryAfterSeconds" in problem, status === 503 || slug === "run-in-progress")
    })
  }

  for (const [millis, seconds] of [[-5, 1], [0, 1], [1000, 1], [1001, 2], [4000, 4], [29_000, 5]] as const) {
    it(`rounds ${millis} ms up to whole seconds within 1 to 5`, () => {
      const problem = problemOf(new StoreError.AgentBusy({ runId, retryAfterMillis: millis }))
      assert.strictEqual(problem._tag === "RunInProgress" && problem.retryAfterSeconds, seconds)
    })
  }
})
