/** `RunStore`: settled runs and runs in flight are rows of one table, so a read sees each run once. */
import type { AgentRun, RunInFlight } from "@everbeat/core/AgentRun"
import type { PageRequest } from "@everbeat/core/CheckpointStore"
import { isRunId } from "@everbeat/core/RunId"
import { keyRetention, type RunFilter, type RunStore } from "@everbeat/core/RunStore"
import { RunNotFound } from "@everbeat/core/StoreError"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Client, Row } from "./client.ts"
import * as Decode from "./decode.ts"
import { escape } from "./escape.ts"
import { conditions, pageSize } from "./reads.ts"
import * as Sql from "./sql.ts"

const decode = (row: Row): AgentRun | RunInFlight =>
  row["settled"] === "t"
    ? Decode.record(
      Decode.text(row["body"]),
      Decode.idempotencyOf(row["key"] ?? null, row["fingerprint"] ?? null)
    )
    : Decode.inFlight(row)

const fields = `r.run_id, r.settled_at is not null as settled, r.meta, r.key, r.fingerprint,
  case when r.settled_at is null then ${Sql.head("r")} else r.record end as body`

/** Equal to the whole text, and found by the index on its beginning. */
const isCaller = ($: string): string => `left(r.caller_id, 128) = left(${$}::text, 128) and r.caller_id = ${$}::text`

const listing = (filter: RunFilter, page: PageRequest, { run }: Sql.Tables) => {
  const { all, values, where } = conditions()
  where(filter.agentName, ($) => `r.agent_name = ${$}::text`)
  where(filter.kind, ($) => `r.kind = ${$}::text`)
  where(filter.status && [...filter.status], ($) => `coalesce(r.status, ${Sql.statusOf("r")}) = any(${$}::text[])`)
  where(filter.callerId === undefined ? undefined : escape(filter.callerId), isCaller)
  where(
    filter.from && Sql.timeMillis(DateTime.toEpochMillis(filter.from)),
    ($) => `r.started_at >= to_timestamp(${$}::float8 / 1000)`
  )
  where(
    filter.until && Sql.timeMillis(DateTime.toEpochMillis(filter.until)),
    ($) => `r.started_at < to_timestamp(${$}::float8 / 1000)`
  )
  // A cursor is the id of the last run of the page before.
  where(isRunId(page.cursor) ? page.cursor : undefined, ($) => `r.run_id < ${$}::uuid`)
  const size = pageSize(page)
  values.push(size + 1)
  const text = `with ${Sql.clock} select ${fields} from ${run} r${all.length === 0 ? "" : ` where ${all.join(" and ")}`}
    order by r.run_id desc limit $${values.length}::int`
  return { text, values, size }
}

/** Oldest first. A run that was claimed or renewed meanwhile is checked again under its lock. */
const pruning = ({ row, run }: Sql.Tables): string =>
  `with ${Sql.clock},
  k as materialized (
    select x.run_id from (
      select r.run_id, row_number() over (partition by r.agent_name order by r.run_id desc) as rank
      from ${run} r where r.settled_at is not null and $2::float8 is not null) x
    where x.rank > $2::float8),
  v as materialized (
    select r.run_id from ${run} r
    where case
      when r.settled_at is not null then
        (r.settled_at < (select now from t) - $1::float8 * interval '1 millisecond'
          or r.run_id in (select k.run_id from k))
        and (r.key is null or r.settled_at <= (select now from t) - $5::float8 * interval '1 millisecond')
      else
        r.lease_until < (select now from t) - $3::float8 * interval '1 millisecond' and ${Sql.isExhausted("r")}
        and r.lease_until <= (select now from t)
        and (r.key is null or r.lease_until <= (select now from t) - $5::float8 * interval '1 millisecond')
      end
    order by r.run_id limit $4::int for update skip locked),
  d as (delete from ${run} r using v where r.run_id = v.run_id returning r.run_id),
  m as (delete from ${row} m using d where m.run_id = d.run_id)
  select count(*)::text as count from d`

const erasing = ({ run }: Sql.Tables, condition: string): string =>
  `with d as (delete from ${run} r where r.settled_at is not null and ${condition} returning 1)
  select count(*)::text as count from d`

export const make = (client: Client, tables: Sql.Tables): RunStore["Service"] => {
  const one = `with ${Sql.clock} select ${fields} from ${tables.run} r where r.run_id = $1::uuid`
  const prune = pruning(tables)
  const eraseCaller = erasing(tables, isCaller("$1"))
  const eraseAgent = erasing(tables, "r.agent_name = $1::text")
  const counted = (operation: string, text: string, values: ReadonlyArray<unknown>) =>
    Effect.map(client.run(operation, text, values), (rows) => Number(rows[0]?.["count"] ?? 0))
  const millis = (duration: Duration.Duration | undefined): number | null =>
    duration === undefined ? null : Sql.ttlMillis(duration)

  return {
    get: (runId) =>
      Effect.gen(function*() {
        const [row] = isRunId(runId) ? yield* client.run("get", one, [runId]) : []
        if (row === undefined) return yield* new RunNotFound({ runId })
        return yield* Decode.decoding("get", () => Decode.named(runId, () => decode(row)))
      }),
    list: (filter = {}, page = {}) =>
      Effect.gen(function*() {
        const { size, text, values } = listing(filter, page, tables)
        const rows = yield* client.run("list", text, values)
        const items = yield* Decode.readable(rows.slice(0, size), decode)
        const last = rows[size - 1]?.["run_id"]
        return rows.length > size && typeof last === "string" ? { items, next: last } : { items }
      }),
    prune: ({ batch = 1000, exhaustedFor, keepLast, olderThan }) =>
      olderThan === undefined && keepLast === undefined && exhaustedFor === undefined
        ? Effect.succeed(0)
        : counted("prune", prune, [
          millis(olderThan),
          keepLast ?? null,
          millis(exhaustedFor),
          Math.max(0, Math.min(1_000_000, Math.trunc(batch))),
          Duration.toMillis(keyRetention)
        ]),
    erase: (who) =>
      "callerId" in who
        ? counted("erase", eraseCaller, [escape(who.callerId)])
        : counted("erase", eraseAgent, [who.agentName])
  }
}
