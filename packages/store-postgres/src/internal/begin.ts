/** `begin`: one statement that finds what stands in the way, and otherwise creates the run. */
import type { BeginInput, Begun, CheckpointStore, Replayed, Resumed } from "@everbeat/core/CheckpointStore"
import { isRunId, type RunId } from "@everbeat/core/RunId"
import { AgentBusy, KeyMismatch, OtherDefinition, RunExists, type StoreError } from "@everbeat/core/StoreError"
import * as Effect from "effect/Effect"
import * as Batch from "./batch.ts"
import type { Client, Row } from "./client.ts"
import * as Decode from "./decode.ts"
import { contention, corrupt } from "./errors.ts"
import { escape, escapeOptional, unescape } from "./escape.ts"
import type { Lanes } from "./lanes.ts"
import { loading } from "./reads.ts"
import * as Sql from "./sql.ts"

const columns = [
  ["n", "int"],
  ["run_id", "uuid"],
  ["agent_name", "text"],
  ["kind", "text"],
  ["definition", "text"],
  ["definition_hash", "text"],
  ["any_hash", "bool"],
  ["caller_id", "text"],
  ["channel_id", "text"],
  ["parent_run_id", "uuid"],
  ["meta", "text"],
  ["exclusive", "bool"],
  ["max_attempts", "int"],
  ["key", "text"],
  ["fingerprint", "text"],
  ["owner", "text"],
  ["ttl", "float8"]
] as const

const parameters = ({ exclusive, idempotency, maxAttempts, meta, owner, resumes, ttl }: BeginInput, n: number) => [
  n,
  meta.runId,
  meta.agentName,
  meta.kind,
  escape(meta.definition.name),
  escape(meta.definition.hash),
  resumes === "same-name",
  escapeOptional(meta.callerId),
  escapeOptional(meta.channelId),
  meta.parentRunId ?? null,
  Decode.metaText(meta),
  exclusive,
  Math.max(0, Math.min(2_147_483_647, Math.trunc(maxAttempts))),
  escapeOptional(idempotency?.key),
  escapeOptional(idempotency?.fingerprint),
  escape(owner),
  Sql.ttlMillis(ttl)
]

/**
 * What stands in the way of a run is, in this order: the run of its key, the
 * exclusive run in flight of its agent, a run of its id. Unique indexes stand
 * behind all three: what begins at the same time is skipped by the insert, has
 * no row in the answer, and is tried again. What decides over a run whose lease
 * ended never changes back, so taking it checks only the lease again.
 */
const statement = (tables: Sql.Tables, many: boolean): string => {
  const other = (rank: number) =>
    `select ${rank} as rank, r.run_id, r.settled_at, r.fingerprint, r.lease_until, r.cancel_requested, r.definition,
      r.definition_hash`
  return `with ${Sql.clock},
  i as materialized (select * from ${Sql.source(columns, many)}),
  b as materialized (
    select i.n, i.owner, i.ttl, o.run_id, o.definition,
      greatest((o.lease_until > t.now)::int, ${Sql.millis("o.lease_until")} - ${Sql.millis("t.now")}) as wait,
      case
        when o.rank = 0 and o.fingerprint is distinct from i.fingerprint then 'mismatch'
        when o.rank = 0 and o.settled_at is not null then 'replayed'
        when o.rank = 2 then 'exists'
        when o.lease_until > t.now then 'busy'
        when o.cancel_requested then 'take'
        when o.rank = 1 and i.key is not null then 'busy'
        when o.definition = i.definition and (i.any_hash or o.definition_hash = i.definition_hash) then 'take'
        else 'other'
      end as tag
    from t, i cross join lateral (
      (${other(0)} from ${tables.run} r where i.key is not null and r.agent_name = i.agent_name and r.key = i.key)
      union all
      (${other(1)} from ${tables.run} r
        where i.exclusive and r.exclusive and r.settled_at is null and r.agent_name = i.agent_name)
      union all
      (${other(2)} from ${tables.run} r where r.run_id = i.run_id)
      order by rank limit 1) o),
  u as (
    update ${tables.run} r set ${Sql.taken("r", "b.owner", "b.ttl")}
    from b, t where b.tag = 'take' and r.run_id = b.run_id and r.settled_at is null and r.lease_until <= t.now
    returning b.n, r.*),
  c as (
    insert into ${tables.run} (run_id, agent_name, kind, definition, definition_hash, caller_id, channel_id,
      parent_run_id, meta, exclusive, max_attempts, key, fingerprint, owner, lease_until, due, started_at, updated_at,
      attempt_at)
    select i.run_id, i.agent_name, i.kind, i.definition, i.definition_hash, i.caller_id, i.channel_id,
      i.parent_run_id, i.meta, i.exclusive, i.max_attempts, i.key, i.fingerprint, i.owner,
      ${Sql.later("i.ttl")}, ${Sql.later("i.ttl")}, t.now, t.now, t.now
    from i, t where not exists (select from b where b.n = i.n)
    on conflict do nothing returning run_id, fence)
  select i.n::text as n, 'begun' as tag, -1 as row_no, c.fence::text as body,
    null as meta, null as notes, null as workspace from c join i on i.run_id = c.run_id
  union all
  ${Sql.checkpoints(tables, "'resumed'")}
  union all
  select b.n::text, b.tag, -1, case b.tag when 'replayed' then r.record when 'other' then b.definition
      else b.wait::text end, b.run_id::text, r.key, r.fingerprint
    from b left join ${tables.run} r on b.tag = 'replayed' and r.run_id = b.run_id where b.tag <> 'take'`
}

type Answer = Effect.Effect<
  Begun | Resumed | Replayed,
  RunExists | AgentBusy | KeyMismatch | OtherDefinition | StoreError
>

const runIdOf = (row: Row): RunId => {
  const runId = row["meta"]
  if (!isRunId(runId)) throw new Error("a run has an invalid id")
  return runId
}

export const make = (client: Client, lanes: Lanes, tables: Sql.Tables): CheckpointStore["Service"]["begin"] => {
  const load = loading(client, tables)
  const [one, many] = [statement(tables, false), statement(tables, true)]

  /** The lease is held: nobody else writes this run, and its rows can be read again. */
  const reload = (input: BeginInput, rows: ReadonlyArray<Row>): Answer =>
    Effect.gen(function*() {
      const parsed = yield* Decode.decoding("begin", () => Decode.loaded(rows))
      if (parsed !== Decode.torn && parsed !== undefined) return Decode.resumed(parsed)
      const runId = yield* Decode.decoding("begin", () => Decode.runIdOf(rows))
      const loaded = yield* load("begin", runId)
      if (loaded === undefined) return yield* contention("begin")
      if (loaded.owner === input.owner) return Decode.resumed(loaded)
      return yield* new AgentBusy({ runId, retryAfterMillis: 0 })
    })

  const answer = (input: BeginInput, rows: ReadonlyArray<Row>): Answer | undefined => {
    const [row] = rows
    if (row === undefined) return undefined
    const { runId } = input.meta
    switch (row["tag"]) {
      case "begun": {
        return Effect.succeed({ _tag: "Begun", lease: { runId, owner: input.owner, fence: Number(row["body"]) } })
      }
      case "resumed": {
        return reload(input, rows)
      }
      case "replayed": {
        return Decode.decoding("begin", (): Replayed => ({
          _tag: "Replayed",
          run: Decode.record(
            Decode.text(row["body"]),
            Decode.idempotencyOf(row["notes"] ?? null, row["workspace"] ?? null)
          )
        }))
      }
      case "mismatch": {
        return Effect.flatMap(
          Decode.decoding("begin", () => runIdOf(row)),
          (runId) => Effect.fail(new KeyMismatch({ key: input.idempotency?.key ?? "", runId }))
        )
      }
      case "busy": {
        const retryAfterMillis = Number(row["body"])
        return Effect.flatMap(
          Decode.decoding("begin", () => runIdOf(row)),
          (runId) => Effect.fail(new AgentBusy({ runId, retryAfterMillis }))
        )
      }
      case "other": {
        return Effect.flatMap(
          Decode.decoding("begin", () => ({ runId: runIdOf(row), name: unescape(Decode.text(row["body"])) })),
          (other) => Effect.fail(new OtherDefinition(other))
        )
      }
      case "exists": {
        return Effect.fail(new RunExists({ runId }))
      }
      default: {
        return Effect.fail(corrupt("begin", new Error(`the statement answered ${row["tag"]}`)))
      }
    }
  }

  const submit = Batch.make<BeginInput, Answer>(lanes, {
    operation: "begin",
    keyOf: ({ meta }) => meta.runId,
    sizeOf: ({ meta }) => 500 + (meta.prompt?.length ?? 0),
    send: async (inputs) => {
      const rows = await client.query(inputs.length === 1 ? one : many, Sql.bind(columns, inputs.map(parameters)))
      const byInput = Decode.grouped(rows)
      return inputs.map((input, n) => answer(input, byInput.get(String(n)) ?? []))
    }
  })
  return (input) => Effect.flatten(submit(input))
}
