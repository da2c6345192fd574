import { assert, describe, it } from "@effect/vitest"
import { inspect } from "node:util"
import * as Errors from "../src/internal/errors.ts"

const named = (name: string, message: string): Error => Object.assign(new Error(message), { name })
const coded = (code: string): Error => Object.assign(new Error(`connect ${code} 127.0.0.1:6379`), { code })

const causes: ReadonlyArray<readonly [reason: string, cause: unknown]> = [
  ["unavailable", coded("ECONNREFUSED")],
  ["unavailable", coded("ECONNRESET")],
  ["unavailable", coded("EPIPE")],
  ["unavailable", coded("ENOTFOUND")],
  ["unavailable", coded("EAI_AGAIN")],
  ["unavailable", coded("ETIMEDOUT")],
  ["unavailable", new Error("Connection is closed.")],
  ["unavailable", new Error("Stream isn't writeable and enableOfflineQueue options is false")],
  ["unavailable", named("MaxRetriesPerRequestError", "Reached the max retries per request limit (which is 3).")],
  ["unavailable", named("ClusterAllFailedError", "Failed to refresh slots cache.")],
  ["unavailable", new Error("Too many Cluster redirections. Last error: Error: Connection is closed.")],
  ["unavailable", new Error("All sentinels are unreachable. Retrying from scratch after 10ms.")],
  ["unavailable", new Error("Socket timeout. Expecting data, but didn't receive any in 10000ms.")],
  ["unavailable", new Error("LOADING Redis is loading the dataset in memory")],
  ["unavailable", new Error("READONLY You can't write against a read only replica. script: x, on @user_script:1.")],
  ["unavailable", new Error("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")],
  ["unavailable", new Error("CLUSTERDOWN Hash slot not served")],
  ["unavailable", new Error("TRYAGAIN Multiple keys request during rehashing of slot")],
  ["unavailable", new Error("NOREPLICAS Not enough good replicas to write.")],
  ["unavailable", new Error("BUSY Redis is busy running a script.")],
  ["timeout", new Error("Command timed out")],
  ["refused", new Error("OOM command not allowed when used memory > 'maxmemory'.")],
  ["refused", new Error("MISCONF Redis is configured to save RDB snapshots, but it is not able to")],
  ["refused", new Error("NOAUTH Authentication required.")],
  ["refused", new Error("WRONGPASS invalid username-password pair")],
  ["refused", new Error("NOPERM this user has no permissions to run the 'evalsha' command")],
  ["corrupt", new Error("WRONGTYPE Operation against a key holding the wrong kind of value script: x")],
  ["unknown", new Error("ERR something new")],
  ["unknown", "no error at all"]
]

describe("errors", () => {
  for (const [reason, cause] of causes) {
    it(`takes '${String(cause)}' for ${reason}`, () => {
      const error = Errors.fromClient("save", cause)

      assert.strictEqual(error.reason, reason)
      assert.strictEqual(error.operation, "save")
      assert.strictEqual(error.isRetryable, reason === "unavailable" || reason === "timeout")
      assert.isAbove(error.detail.length, 0)
    })
  }

  it("carry nothing of what was sent: their causes get into logs", () => {
    const cause = Object.assign(new Error("ERR no"), { command: { name: "evalsha", args: ["a secret of an agent"] } })
    const error = Errors.fromClient("save", cause)

    assert.notInclude(inspect(error, { depth: 10 }), "a secret of an agent")
    assert.include(inspect(error, { depth: 10 }), "ERR no")
  })
})
