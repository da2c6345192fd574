/** `settle`: one statement that turns runs in flight into records and deletes their rows. */
import type { AgentRun } from "@everbeat/core/AgentRun"
import type { CheckpointStore } from "@everbeat/core/CheckpointStore"
import type { Lease } from "@everbeat/core/Lease"
import { Fenced, Gone, StoreError } from "@everbeat/core/StoreError"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Batch from "./batch.ts"
import type { Client } from "./client.ts"
import * as Decode from "./decode.ts"
import { escape } from "./escape.ts"
import type { Lanes } from "./lanes.ts"
import * as Sql from "./sql.ts"

interface Request {
  readonly lease: Lease
  readonly status: AgentRun["status"]
  readonly startedAt: number
  readonly record: string
}

const columns = [
  ["n", "int"],
  ["run_id", "uuid"],
  ["fence", "bigint"],
  ["owner", "text"],
  ["status", "text"],
  ["started_at", "float8"],
  ["record", "text"]
] as const

const parameters = ({ lease, record, startedAt, status }: Request, n: number) => [
  n,
  lease.runId,
  lease.fence,
  escape(lease.owner),
  status,
  startedAt,
  record
]

/** `s` remembers the position that the deletion of rows sees: a save that comes in between makes it start again. */
const statement = ({ row, run }: Sql.Tables, many: boolean): string =>
  `with ${Sql.clock},
  i as materialized (select * from ${Sql.source(columns, many)}),
  s as materialized (
    select i.*, r.next_row, ${Sql.holds("r", "i.fence", "i.owner")} as holds
    from i join ${run} r on r.run_id = i.run_id and r.settled_at is null),
  u as (
    update ${run} r set settled_at = t.now, updated_at = t.now, status = s.status, record = s.record,
      started_at = to_timestamp(s.started_at / 1000), due = null, released = null, meta = '', past = '',
      segments = '[]', completed = '[]', notes = null, workspace = null
    from s, t where r.run_id = s.run_id and ${Sql.holds("r", "s.fence", "s.owner")} and r.next_row = s.next_row
      and r.settled_at is null
    returning s.n, r.run_id),
  d as (delete from ${row} m using u where m.run_id = u.run_id)
  select i.n::text as n, case when u.n is not null then 'settled' when s.n is null then 'gone'
      when not s.holds then 'fenced' else 'raced' end as tag
    from i left join u on u.n = i.n left join s on s.n = i.n`

type Answer = Effect.Effect<void, Fenced | Gone>

export const answer = (tag: string | null | undefined, { runId }: Lease): Answer | undefined => {
  switch (tag) {
    case "settled":
    case "done": {
      return Effect.void
    }
    case "gone": {
      return Effect.fail(new Gone({ runId }))
    }
    case "fenced": {
      return Effect.fail(new Fenced({ runId }))
    }
    default: {
      return undefined
    }
  }
}

export const make = (client: Client, lanes: Lanes, tables: Sql.Tables): CheckpointStore["Service"]["settle"] => {
  const [one, many] = [statement(tables, false), statement(tables, true)]
  const submit = Batch.make<Request, Answer>(lanes, {
    operation: "settle",
    keyOf: ({ lease }) => lease.runId,
    sizeOf: ({ record }) => 200 + record.length,
    send: async (requests) => {
      const rows = await client.query(requests.length === 1 ? one : many, Sql.bind(columns, requests.map(parameters)))
      const tags = new Map(rows.map((row) => [row["n"], row["tag"]]))
      return requests.map(({ lease }, n) => answer(tags.get(String(n)), lease))
    }
  })
  return (lease, run): Effect.Effect<void, Fenced | Gone | StoreError> =>
    Effect.gen(function*() {
      const record = yield* Effect.try({
        try: () => Decode.recordText(run),
        catch: (cause) => new StoreError({ operation: "settle", reason: "refused", detail: String(cause), cause })
      })
      const startedAt = DateTime.toEpochMillis(run.startedAt)
      yield* Effect.flatten(submit({ lease, status: run.status, startedAt, record }))
    })
}
