/** What the tests of this package share: pools and fresh schemas. */
import type { RunId } from "@everbeat/core"
import type { Conformance } from "@everbeat/core/testing"
import { Duration, Effect } from "effect"
import { randomUUID } from "node:crypto"
import { Pool, type PoolConfig } from "pg"
import { inject } from "vitest"

export const url = (): string => inject("postgresUrl")

/** The same server behind a pooler: two connections for all, in transaction mode, without prepared statements. */
export const poolerUrl = (): string => inject("pgbouncerUrl")

export const freshSchema = (): string => `${inject("schemaPrefix")}_${randomUUID().slice(0, 8)}`

/** A pool of the host: it ends with the scope, never earlier. */
export const hostPool = (options: PoolConfig = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => new Pool({ connectionString: url(), ...options })),
    (pool) => Effect.promise(() => pool.end())
  )

/** Makes all that a schema holds older, as if so much time had passed. */
const age = (schema: string) => (duration: Duration.Duration): Effect.Effect<void> =>
  Effect.scoped(Effect.flatMap(hostPool({ max: 1 }), (pool) =>
    Effect.promise(async () => {
      const times = ["lease_until", "due", "started_at", "updated_at", "attempt_at", "settled_at"]
      const older = times.map((time) => `${time} = ${time} - $1::interval`).join(", ")
      await pool.query(`update "${schema}".run set ${older}`, [`${Duration.toMillis(duration)} milliseconds`])
    })))

/** What a disk, or a person with a client, may do to a run. */
const damagesOf = (schema: string): Conformance.Options["damages"] => {
  const run = `"${schema}".run`
  const row = `"${schema}".run_row`
  const statements = {
    "a row is missing": `delete from ${row} where run_id = $1 and row_no = 1`,
    "all rows are missing": `delete from ${row} where run_id = $1`,
    "segments are no JSON": `update ${run} set segments = '[[0,' where run_id = $1`,
    "segments are other JSON": `update ${run} set segments = '{"0":[0,"x"]}' where run_id = $1`,
    "segments are no numbers": `update ${run} set segments = '[["a","b"]]' where run_id = $1`,
    "meta is no JSON": `update ${run} set meta = '{' where run_id = $1`,
    "meta is empty": `update ${run} set meta = '' where run_id = $1`,
    "phases are no JSON": `update ${run} set completed = 'build' where run_id = $1`
  }
  return Object.fromEntries(
    Object.entries(statements).map((
      [how, statement]
    ) => [
      how,
      (runId: RunId.RunId) =>
        Effect.scoped(
          Effect.flatMap(hostPool({ max: 1 }), (pool) => Effect.promise(() => pool.query(statement, [runId])))
        )
    ])
  )
}

/** How time passes for a store on a schema, and how it is damaged. */
export const kitOptions = (schema: string): Conformance.Options => ({
  elapse: Effect.sleep,
  age: age(schema),
  damages: damagesOf(schema)
})
