/** Statements of the owner of a lease that save nothing: `renew`, `release`, `delete`; and `requestCancel`. */
import type { CheckpointStore, Renewal } from "@everbeat/core/CheckpointStore"
import type { Lease } from "@everbeat/core/Lease"
import { isRunId } from "@everbeat/core/RunId"
import { type Fenced, type Gone, RunNotFound, type StoreError } from "@everbeat/core/StoreError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Client, untilWon } from "./client.ts"
import { contention } from "./errors.ts"
import { escape, escapeOptional } from "./escape.ts"
import { answer } from "./settle.ts"
import * as Sql from "./sql.ts"

type Service = CheckpointStore["Service"]

const states: ReadonlySet<unknown> = new Set<Renewal["state"]>(["renewed", "fenced", "gone"])

const isState = (state: unknown): state is Renewal["state"] => states.has(state)

/** How often leases are asked for whose rows are locked: in all about half a second. */
const maxRenewals = 9

const leaseColumns = [["n", "int"], ["run_id", "uuid"], ["fence", "bigint"], ["owner", "text"]] as const

export const make = (
  client: Client,
  { row, run }: Sql.Tables
): Pick<Service, "renew" | "release" | "delete" | "requestCancel"> => {
  // Many rows in one statement: it waits for none of them. It is in no deadlock with saves, and a row that somebody keeps
  // locked holds up neither the other leases nor a connection.
  const renewal = `with ${Sql.clock},
  i as materialized (select * from ${Sql.source(leaseColumns, true)}),
  l as materialized (
    select r.run_id from i join ${run} r on r.run_id = i.run_id and ${Sql.holds("r", "i.fence", "i.owner")}
    where r.settled_at is null order by r.run_id for no key update of r skip locked),
  u as (
    update ${run} r set ${Sql.renewed("r", "$5::float8")} from l, t where r.run_id = l.run_id
    returning r.run_id, r.fence, r.owner, r.cancel_requested)
  select i.n::text as n, coalesce(u.cancel_requested, false) as cancel,
    case when u.run_id is not null then 'renewed' when r.run_id is null then 'gone'
      when not ${Sql.holds("r", "i.fence", "i.owner")} then 'fenced' else 'raced' end as state
    from i left join u on u.run_id = i.run_id and u.fence = i.fence and u.owner = i.owner
    left join ${run} r on r.run_id = i.run_id and r.settled_at is null`

  const held = Sql.holds("r", "$2::bigint", "$3::text")

  // What the server keeps is milliseconds: rounding up would leave the lease live for the rest of this one.
  const releasing = `with ${Sql.clock},
  u as (
    update ${run} r set lease_until = date_trunc('milliseconds', t.now), due = date_trunc('milliseconds', t.now),
      released = case when $5::boolean and r.attempt > 1 then ${Sql.unstarted} else coalesce($4::text, '') end,
      attempt = r.attempt - case when $5::boolean and r.attempt > 1 then 1 else 0 end,
      stalled = r.stalled - case when $5::boolean and r.attempt > 1 then 1 else 0 end,
      max_attempts = r.max_attempts
        + case when $6::boolean and not $5::boolean and r.stalled = 0 and r.max_attempts < 2147483647 then 1 else 0 end
    from t where r.run_id = $1::uuid and ${held} and r.settled_at is null
    returning r.run_id)
  select 'done' as tag from u
  union all
  select case when not ${held} then 'fenced' else 'raced' end
    from ${run} r where r.run_id = $1::uuid and r.settled_at is null and not exists (select from u)`

  // As in `settle`: the deletion of rows must see all of them.
  const deleting = `with s as materialized (
    select r.run_id, r.next_row, ${held} as holds from ${run} r where r.run_id = $1::uuid and r.settled_at is null),
  u as (
    delete from ${run} r using s
    where r.run_id = s.run_id and ${held} and r.next_row = s.next_row
      and r.settled_at is null
    returning r.run_id),
  d as (delete from ${row} m using u where m.run_id = u.run_id)
  select 'done' as tag from u
  union all
  select case when not s.holds then 'fenced' else 'raced' end
    from s where not exists (select from u)`

  const cancelling = `update ${run} set cancel_requested = true
    where run_id = $1::uuid and settled_at is null returning run_id`

  const guarded = (
    operation: string,
    lease: Lease,
    statement: string,
    more: ReadonlyArray<unknown>
  ): Effect.Effect<void, Fenced | Gone | StoreError> =>
    Effect.asVoid(untilWon(
      operation,
      Effect.flatMap(
        client.run(operation, statement, [lease.runId, lease.fence, escape(lease.owner), ...more]),
        (rows): Effect.Effect<true | undefined, Fenced | Gone> => {
          const outcome = answer(rows[0] === undefined ? "gone" : rows[0]["tag"], lease)
          return outcome === undefined ? Effect.succeed(outcome) : Effect.as(outcome, true)
        }
      )
    ))

  /** Renews what it can and answers it; a row that is being written at this moment has no answer. */
  const renewSome = (leases: ReadonlyArray<Lease>, ttl: number) =>
    Effect.map(
      client.run("renew", renewal, [
        ...Sql.bind(leaseColumns, leases.map(({ fence, owner, runId }, n) => [n, runId, fence, escape(owner)]), true),
        ttl
      ]),
      (rows) => {
        const answers = new Map<Lease, Renewal>()
        for (const { cancel, n, state } of rows) {
          const lease = leases[Number(n)]
          if (lease === undefined || !isState(state)) continue
          answers.set(lease, { runId: lease.runId, state, cancelRequested: cancel === "t" })
        }
        return answers
      }
    )

  /** A save keeps its row for a moment: it is asked for again, later and later, before it counts as unknown. */
  const renew = (leases: ReadonlyArray<Lease>, ttl: number): Effect.Effect<ReadonlyArray<Renewal>, StoreError> =>
    Effect.gen(function*() {
      const answers = new Map<Lease, Renewal>()
      const unanswered = () => leases.filter((lease) => !answers.has(lease))
      for (let race = 0, rest = leases; race < maxRenewals && rest.length > 0; race++, rest = unanswered()) {
        if (race > 2) yield* Effect.sleep(2 ** race)
        const some = renewSome(rest, ttl)
        // What was renewed must reach the caller.
        const found = yield* (answers.size === 0 ? Effect.asSome(some) : Effect.option(some))
        if (Option.isNone(found)) break
        for (const [lease, answer] of found.value) answers.set(lease, answer)
      }
      if (answers.size === 0 && leases.length > 0) return yield* contention("renew")
      return leases.map((lease) =>
        answers.get(lease) ?? { runId: lease.runId, state: "unknown", cancelRequested: false }
      )
    })

  return {
    renew: (leases, ttl) => renew(leases, Sql.ttlMillis(ttl)),
    release: (lease, reason, options) =>
      guarded("release", lease, releasing, [
        escapeOptional(reason),
        options?.unstarted === true,
        options?.shutdown === true
      ]),
    delete: (lease) => guarded("delete", lease, deleting, []),
    requestCancel: (runId) =>
      Effect.flatMap(
        isRunId(runId) ? client.run("requestCancel", cancelling, [runId]) : Effect.succeed([]),
        (rows) => rows.length === 0 ? Effect.fail(new RunNotFound({ runId })) : Effect.void
      )
  }
}
