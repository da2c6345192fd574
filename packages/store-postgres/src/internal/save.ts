/** `save`: one statement for the saves of many runs. */
import type { CheckpointStore, Delta, Saved } from "@everbeat/core/CheckpointStore"
import type { Lease } from "@everbeat/core/Lease"
import { Conflict, Fenced, Gone, type StoreError } from "@everbeat/core/StoreError"
import * as Effect from "effect/Effect"
import * as Batch from "./batch.ts"
import type { Client, Row } from "./client.ts"
import * as Decode from "./decode.ts"
import { escape, escapeOptional } from "./escape.ts"
import type { Lanes } from "./lanes.ts"
import * as Sql from "./sql.ts"

interface Request {
  readonly lease: Lease
  readonly delta: Delta
}

const columns = [
  ["n", "int"],
  ["run_id", "uuid"],
  ["fence", "bigint"],
  ["owner", "text"],
  ["position", "int"],
  ["added", "int"],
  ["segments", "text"],
  ["iteration", "bigint"],
  ["phase", "text"],
  ["completed", "text"],
  ["notes", "text"],
  ["workspace", "text"],
  ["ttl", "float8"]
] as const

const parameters = ({ delta, lease }: Request, n: number) => [
  n,
  lease.runId,
  lease.fence,
  escape(lease.owner),
  delta.position,
  delta.rows.length,
  JSON.stringify(delta.segments),
  delta.iteration ?? null,
  escapeOptional(delta.phase),
  Decode.completedText(delta.completedPhases),
  escapeOptional(delta.notes),
  escapeOptional(delta.workspace),
  Sql.ttlMillis(delta.ttl)
]

const rows = columns.length

const statement = ({ row, run }: Sql.Tables, many: boolean): string =>
  `with ${Sql.clock},
  i as materialized (select * from ${Sql.source(columns, many)}),
  u as (
    update ${run} r set next_row = r.next_row + i.added, segments = i.segments,
      iteration = coalesce(i.iteration, r.iteration), phase = coalesce(i.phase, r.phase),
      completed = coalesce(i.completed, r.completed), notes = coalesce(i.notes, r.notes),
      workspace = coalesce(i.workspace, r.workspace),
      stalled = case when i.added > 0 or (i.notes is not null and i.notes is distinct from r.notes)
        or (i.workspace is not null and i.workspace is distinct from r.workspace) then 0 else r.stalled end,
      updated_at = t.now, ${Sql.renewed("r", "i.ttl")}
    from i, t where r.run_id = i.run_id and ${Sql.holds("r", "i.fence", "i.owner")} and r.next_row = i.position
      and r.settled_at is null
    returning i.n, r.run_id, r.next_row, r.cancel_requested),
  w as (
    insert into ${row} (run_id, row_no, body) select u.run_id, b.row_no, b.body
    from unnest(${Sql.array(rows + 1, "int")}, ${Sql.array(rows + 2, "int")}, ${
    Sql.array(rows + 3, "text")
  }) as b(n, row_no, body)
    join u on u.n = b.n)
  select u.n::text as n, 'saved' as tag, u.next_row as position, u.cancel_requested as cancel from u
  union all
  select i.n::text, case when r.run_id is null then 'gone' when not ${
    Sql.holds("r", "i.fence", "i.owner")
  } then 'fenced'
      when r.next_row <> i.position then 'conflict' else 'raced' end, r.next_row, false
    from i left join ${run} r on r.run_id = i.run_id and r.settled_at is null
    where not exists (select from u where u.n = i.n)`

type Answer = Effect.Effect<Saved, Fenced | Gone | Conflict>

const answer = ({ lease: { runId } }: Request, row: Row | undefined): Answer | undefined => {
  const position = Number(row?.["position"])
  switch (row?.["tag"]) {
    case "saved": {
      return Effect.succeed({ position, cancelRequested: row["cancel"] === "t" })
    }
    case "gone": {
      return Effect.fail(new Gone({ runId }))
    }
    case "fenced": {
      return Effect.fail(new Fenced({ runId }))
    }
    case "conflict": {
      return Effect.fail(new Conflict({ runId, position }))
    }
    default: {
      return undefined
    }
  }
}

const sizeOf = ({ delta }: Request): number =>
  delta.rows.reduce((size, row) => size + row.length, 500 + (delta.notes?.length ?? 0) + (delta.workspace?.length ?? 0))

const appended = (requests: ReadonlyArray<Request>) => {
  const numbers: Array<number> = []
  const positions: Array<number> = []
  const bodies: Array<string> = []
  for (const [n, { delta }] of requests.entries()) {
    for (const [index, body] of delta.rows.entries()) {
      numbers.push(n)
      positions.push(delta.position + index)
      bodies.push(escape(body))
    }
  }
  return [Sql.list(numbers, "int"), Sql.list(positions, "int"), Sql.list(bodies, "text")]
}

export const make = (client: Client, lanes: Lanes, tables: Sql.Tables): CheckpointStore["Service"]["save"] => {
  const [one, many] = [statement(tables, false), statement(tables, true)]
  const submit = Batch.make<Request, Answer>(lanes, {
    operation: "save",
    keyOf: ({ lease }) => lease.runId,
    sizeOf,
    send: async (requests) => {
      const text = requests.length === 1 ? one : many
      const rows = await client.query(text, [...Sql.bind(columns, requests.map(parameters)), ...appended(requests)])
      const byRequest = new Map(rows.map((row) => [row["n"], row]))
      return requests.map((request, n) => answer(request, byRequest.get(String(n))))
    }
  })
  return (lease, delta): Effect.Effect<Saved, Fenced | Gone | Conflict | StoreError> =>
    Effect.flatten(submit({ lease, delta }))
}
