/** `claim` and `claimNext`: a new owner for runs whose lease has ended. */
import type { CheckpointStore, ClaimFilter, Resumed } from "@everbeat/core/CheckpointStore"
import { isRunId, type RunId } from "@everbeat/core/RunId"
import { LeaseHeld, RunNotFound, type StoreError } from "@everbeat/core/StoreError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type Client, type Row, untilWon } from "./client.ts"
import * as Decode from "./decode.ts"
import { escape } from "./escape.ts"
import { conditions, loading } from "./reads.ts"
import * as Sql from "./sql.ts"

/** How often to look again behind runs that are damaged. */
const maxRounds = 16

export const make = (
  client: Client,
  tables: Sql.Tables
): Pick<CheckpointStore["Service"], "claim" | "claimNext"> => {
  const load = loading(client, tables)

  const claimOne = `with ${Sql.clock},
  u as (
    update ${tables.run} r set ${Sql.taken("r", "$2::text", "$3::float8")} from t
    where r.run_id = $1::uuid and r.settled_at is null and r.lease_until <= t.now
    returning 1 as n, r.*)
  ${Sql.checkpoints(tables, "'resumed'")}
  union all
  select '1', 'held', -2, (${Sql.millis("r.lease_until")} - ${Sql.millis("t.now")})::text, null, null, null
    from ${tables.run} r, t
    where r.run_id = $1::uuid and r.settled_at is null and not exists (select from u)`

  /** The lease is held: what a save in between made unreadable can be read again. */
  const complete = (operation: string, rows: ReadonlyArray<Row>, owner: string) =>
    Effect.gen(function*() {
      const parsed = yield* Decode.decoding(operation, () => Decode.loaded(rows))
      if (parsed === undefined) return undefined
      if (parsed !== Decode.torn) return Decode.resumed(parsed)
      const loaded = yield* load(operation, yield* Decode.decoding(operation, () => Decode.runIdOf(rows)))
      // Settled, or claimed by the next one already: it is no longer ours.
      return loaded?.owner === owner ? Decode.resumed(loaded) : undefined
    })

  const claim = (
    runId: RunId,
    owner: string,
    ttl: Duration.Duration
  ): Effect.Effect<Resumed, RunNotFound | LeaseHeld | StoreError> =>
    untilWon(
      "claim",
      Effect.gen(function*() {
        if (!isRunId(runId)) return yield* new RunNotFound({ runId })
        const rows = yield* client.run("claim", claimOne, [runId, escape(owner), Sql.ttlMillis(ttl)])
        const [row] = rows
        if (row === undefined) return yield* new RunNotFound({ runId })
        if (row["tag"] !== "held") return yield* complete("claim", rows, owner)
        const retryAfterMillis = Number(row["body"])
        return retryAfterMillis > 0 ? yield* new LeaseHeld({ runId, retryAfterMillis }) : undefined
      })
    )

  /** Claims up to so many, the damaged ones among them. */
  const claimSome = (owner: string, ttl: Duration.Duration, limit: number, filter: ClaimFilter) =>
    Effect.gen(function*() {
      const { all, values, where } = conditions()
      values.push(escape(owner), Sql.ttlMillis(ttl), Math.max(0, Math.min(1_000_000, Math.trunc(limit))))
      where(filter.kind, ($) => `r.kind = ${$}::text`)
      if (filter.roots === true) all.push("r.parent_run_id is null")
      where(filter.definitions?.map(escape), ($) => `r.definition = any(${$}::text[])`)
      const text = `with ${Sql.clock},
      s as materialized (
        select r.run_id, r.lease_until from ${tables.run} r
        where r.settled_at is null and ${Sql.mayHaveEnded("r")} and r.lease_until <= (select now from t)
          and not ${Sql.isExhausted("r")}${all.map((condition) => ` and ${condition}`).join("")}
        order by r.lease_until, r.run_id limit $3::int for update skip locked),
      o as materialized (select s.*, row_number() over (order by s.lease_until, s.run_id) as n from s),
      u as (
        update ${tables.run} r set ${Sql.taken("r", "$1::text", "$2::float8")} from o, t
        where r.run_id = o.run_id and r.settled_at is null and r.lease_until <= t.now
        returning o.n, r.*)
      ${Sql.checkpoints(tables, "'resumed'")}`
      const rows = yield* client.run("claimNext", text, values)
      const groups = yield* Decode.decoding("claimNext", () => Decode.grouped(rows))
      const runs = [...groups].toSorted(([a], [b]) => Number(a) - Number(b))
      return yield* Effect.forEach(runs, ([, rows]) => Effect.result(complete("claimNext", rows, owner)))
    })

  /** Whatever is damaged takes none of the others along: they are claimed in its place. */
  const claimNext = (owner: string, ttl: Duration.Duration, limit: number, filter: ClaimFilter = {}) =>
    Effect.gen(function*() {
      const claimed: Array<Resumed> = []
      const damaged: Array<StoreError> = []
      for (let round = 0; round < maxRounds; round++) {
        const some = claimSome(owner, ttl, limit - claimed.length, filter)
        // What was claimed so far must reach the caller.
        const found = yield* (claimed.length === 0 ? some : Effect.orElseSucceed(some, () => []))
        const failures = found.filter(Result.isFailure).map(({ failure }) => failure)
        claimed.push(...found.flatMap((one) => Result.isSuccess(one) ? one.success ?? [] : []))
        damaged.push(...failures)
        if (failures.length === 0 || claimed.length >= limit) break
      }
      const [failure] = damaged
      if (failure === undefined) return claimed
      if (claimed.length === 0) return yield* failure
      yield* Effect.logWarning("Damaged runs were left out", ...damaged.map(({ message }) => message))
      return claimed
    })

  return { claim, claimNext }
}
