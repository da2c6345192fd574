import { assert, describe, it } from "@effect/vitest"
import { Problem } from "@everbeat/http"

describe("Problem", () => {
  it("lists every error class once, with a type of its own, ordered by status", () => {
    const classes = Object.entries(Problem).filter(([, value]) => typeof value === "function").map(([name]) => name)
    assert.deepStrictEqual(
      Problem.table.map(({ name }) => name).toSorted(),
      classes.toSorted() as Array<Problem.Problem["_tag"]>
    )
    assert.strictEqual(new Set(Problem.table.map(({ type }) => type)).size, Problem.table.length)
    assert.deepStrictEqual(
      Problem.table.map(({ status }) => status),
      Problem.table.map(({ status }) => status).toSorted((a, b) => a - b)
    )
  })

  it("keeps the published types", () => {
    assert.deepStrictEqual(Problem.table.map(({ status, type }) => `${status} ${type.split("/").at(-1)}`), [
      "400 invalid-request",
      "401 unauthorized",
      "403 wrong-agent",
      "403 insufficient-scope",
      "404 agent-not-found",
      "404 run-not-found",
      "404 route-not-found",
      "405 method-not-allowed",
      "409 run-in-progress",
      "409 run-cancelled",
      "409 run-not-resumable",
      "409 run-settled",
      "413 payload-too-large",
      "415 unsupported-media-type",
      "422 idempotency-key-reused",
      "422 invalid-payload",
      "429 rate-limited",
      "499 client-closed-request",
      "500 internal-error",
      "500 body-already-consumed",
      "500 pass-failed",
      "501 not-offered",
      "503 auth-unavailable",
      "503 store-unavailable",
      "503 run-interrupted",
      "503 run-not-recorded",
      "503 shutting-down",
      "503 not-ready"
    ])
  })

  it("is an error whose message says what to do", () => {
    const problem = new Problem.ShuttingDown({ retryAfterSeconds: 5 })
    assert.instanceOf(problem, Error)
    assert.strictEqual(problem._tag, "ShuttingDown")
    assert.match(problem.message, /Call again/u)
  })
})
