/** Reads of runs in flight. */
import type { CheckpointStore, InterruptedFilter, PageRequest } from "@everbeat/core/CheckpointStore"
import { isRunId, type RunId } from "@everbeat/core/RunId"
import { RunNotFound, type StoreError } from "@everbeat/core/StoreError"
import * as Effect from "effect/Effect"
import type { Client } from "./client.ts"
import * as Decode from "./decode.ts"
import { corrupt } from "./errors.ts"
import { escape } from "./escape.ts"
import * as Sql from "./sql.ts"

type Service = CheckpointStore["Service"]

/** Reads the checkpoint of a run in flight. */
export const loading = (client: Client, tables: Sql.Tables) => {
  const statement = `with ${Sql.clock}, u as (select 1 as n, r.* from ${tables.run} r
    where r.run_id = $1::uuid and r.settled_at is null)
  ${Sql.checkpoints(tables)}`
  return (operation: string, runId: RunId): Effect.Effect<Decode.Loaded | undefined, StoreError> =>
    Effect.gen(function*() {
      const rows = yield* client.run(operation, statement, [runId])
      const loaded = yield* Decode.decoding(operation, () => Decode.loaded(rows))
      if (loaded !== Decode.torn) return loaded
      return yield* corrupt(operation, new Error(`run ${runId} is damaged: rows of its history are missing`))
    })
}

const cursorPattern = /^(\d{1,16})_([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})$/

/** Builds conditions whose parameters are numbered as they come. */
export const conditions = (): {
  readonly values: Array<unknown>
  readonly all: Array<string>
  readonly where: (value: unknown, sql: (parameter: string) => string) => void
} => {
  const values: Array<unknown> = []
  const all: Array<string> = []
  return {
    values,
    all,
    where: (value, sql) => {
      if (value === undefined) return
      values.push(value)
      all.push(sql(`$${values.length}`))
    }
  }
}

export const pageSize = ({ limit = 50 }: PageRequest): number =>
  Math.max(1, Math.min(1_000_000, Math.trunc(Number.isNaN(limit) ? 50 : limit)))

export const listing = (filter: InterruptedFilter, page: PageRequest, tables: Sql.Tables) => {
  const { all, values, where } = conditions()
  const status = filter.status ?? ["interrupted", "exhausted"]
  if (!status.includes("running")) {
    all.push(Sql.mayHaveEnded("r"), "r.lease_until <= (select now from t)")
  }
  where([...status], ($) => `${Sql.statusOf("r")} = any(${$}::text[])`)
  where(filter.agentName, ($) => `r.agent_name = ${$}::text`)
  where(filter.callerId === undefined ? undefined : escape(filter.callerId), ($) => `r.caller_id = ${$}::text`)
  where(filter.channelId === undefined ? undefined : escape(filter.channelId), ($) => `r.channel_id = ${$}::text`)
  where(filter.parentRunId, ($) => `r.parent_run_id = ${$}::uuid`)
  where(filter.interruptedFor && Sql.ttlMillis(filter.interruptedFor), ($) => {
    const ago = `${$}::float8 * interval '1 millisecond'`
    return `r.due <= statement_timestamp() - ${ago} and r.lease_until <= (select now from t) - ${ago}`
  })
  const [, at, runId] = cursorPattern.exec(page.cursor ?? "") ?? []
  if (at !== undefined && runId !== undefined) {
    values.push(Sql.timeMillis(Number(at)), runId)
    all.push(
      `(r.lease_until, r.run_id) > (to_timestamp($${values.length - 1}::float8 / 1000), $${values.length}::uuid)`
    )
  }
  const size = pageSize(page)
  values.push(size + 1)
  const text = `with ${Sql.clock} select ${Sql.head("u")} as body, u.meta, u.run_id,
    ${Sql.millis("u.lease_until")} as ended from (
    select r.* from ${tables.run} r where r.settled_at is null and ${all.join(" and ")}
    order by r.lease_until, r.run_id limit $${values.length}::int) u
  order by u.lease_until, u.run_id`
  return { text, values, size }
}

export const make = (client: Client, tables: Sql.Tables): Pick<Service, "load" | "listInterrupted" | "ping"> => {
  const load = loading(client, tables)
  return {
    load: (runId) =>
      Effect.flatMap(
        isRunId(runId) ? load("load", runId) : Effect.undefined,
        (loaded) => loaded === undefined ? Effect.fail(new RunNotFound({ runId })) : Effect.succeed(loaded.checkpoint)
      ),
    listInterrupted: (filter = {}, page = {}) =>
      Effect.gen(function*() {
        const { size, text, values } = listing(filter, page, tables)
        const rows = yield* client.run("listInterrupted", text, values)
        const items = yield* Decode.readable(rows.slice(0, size), Decode.inFlight)
        const last = rows[size - 1]
        return rows.length > size && last !== undefined
          ? { items, next: `${last["ended"]}_${last["run_id"]}` }
          : { items }
      }),
    ping: Effect.asVoid(client.run("ping", "select 1 as one"))
  }
}
