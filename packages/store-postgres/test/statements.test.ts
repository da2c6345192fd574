import { assert, describe, it } from "@effect/vitest"
import { AgentName, Heartbeat, HeartbeatEngine, Step } from "@everbeat/core"
import { PostgresStore } from "@everbeat/store-postgres"
import { Duration, Effect, Layer } from "effect"
import { listing } from "../src/internal/reads.ts"
import * as Sql from "../src/internal/sql.ts"
import { countingProxy } from "./support/counter.ts"
import { freshSchema, hostPool } from "./support/database.ts"
import { append, begun, freshStore, inputOf, recordOf, ttl } from "./support/fixtures.ts"

const names = ["one", "two", "three", "four", "five"] as const

const heartbeat = (durability: "coalesce" | "sync") =>
  Heartbeat.make("dispatch", names.map((name) => Step.make(name, Effect.void)), { durability })

/** An engine on a store whose statements are counted on the wire. */
const counted = Effect.gen(function*() {
  const { count, url } = yield* countingProxy
  const pool = yield* hostPool({ connectionString: url, max: 10 })
  const stores = PostgresStore.layerFrom(pool, { schema: freshSchema() })
  const context = yield* Layer.build(Layer.provideMerge(HeartbeatEngine.layer, stores))
  const statementsOf = <A, E>(effect: Effect.Effect<A, E, HeartbeatEngine.HeartbeatEngine>) =>
    Effect.gen(function*() {
      const before = count.statements
      yield* Effect.provide(effect, context)
      return count.statements - before
    })
  return statementsOf
})

describe("statements on the wire", () => {
  it.live("are two for a pass of five steps, and six when every step is durable", () =>
    Effect.gen(function*() {
      const statementsOf = yield* counted
      for (const [durability, expected] of [["coalesce", 2], ["sync", 6]] as const) {
        const pass = Heartbeat.run(heartbeat(durability), { agent: AgentName.make(`alone-${durability}`) })
        assert.strictEqual(yield* statementsOf(pass), expected, durability)
      }
    }).pipe(Effect.scoped))

  it.live("are fewer than passes when 50 of them run at once", () =>
    Effect.gen(function*() {
      const statementsOf = yield* counted
      const passes = Effect.forEach(
        Array.from({ length: 50 }),
        (_, n) => Heartbeat.run(heartbeat("coalesce"), { agent: AgentName.make(`many-${n}`) }),
        { concurrency: "unbounded" }
      )
      assert.isBelow(yield* statementsOf(passes), 50)
    }).pipe(Effect.scoped))

  it.live("are one for each operation", () =>
    Effect.gen(function*() {
      const { count, url } = yield* countingProxy
      const { checkpoints, runs } = yield* freshStore({ connectionString: url })
      const one = <A, E>(operation: string, effect: Effect.Effect<A, E>) =>
        Effect.gen(function*() {
          const before = count.statements
          const answer = yield* effect
          assert.strictEqual(count.statements - before, 1, operation)
          return answer
        })
      const input = inputOf({ exclusive: true, idempotency: { key: "key", fingerprint: "payload" } })
      const answer = yield* one("begin", checkpoints.begin(input))
      assert(answer._tag === "Begun")
      const { lease } = answer
      yield* one("save", checkpoints.save(lease, append(0, Array.from({ length: 100 }, (_, n) => `${n}`))))
      yield* one("save of heads", checkpoints.save(lease, append(100, [], { notes: "n" })))
      yield* one("renew", checkpoints.renew([lease, yield* begun(checkpoints)], ttl))
      yield* one("requestCancel", checkpoints.requestCancel(lease.runId))
      yield* one("load", checkpoints.load(lease.runId))
      yield* one("release", checkpoints.release(lease))
      yield* one("listInterrupted", checkpoints.listInterrupted())
      const resumed = yield* one("begin again", checkpoints.begin(input))
      assert(resumed._tag === "Resumed")
      assert.lengthOf(resumed.checkpoint.messages, 100)
      yield* checkpoints.release(resumed.lease)
      const claimed = yield* one("claim", checkpoints.claim(lease.runId, "claim", ttl))
      yield* checkpoints.save(claimed.lease, append(100, ["progress"]))
      yield* checkpoints.release(claimed.lease)
      const [next] = yield* one("claimNext", checkpoints.claimNext("next", ttl, 10))
      assert(next !== undefined)
      yield* one("settle", checkpoints.settle(next.lease, recordOf(input)))
      yield* one("get", runs.get(lease.runId))
      yield* one("list", runs.list({ callerId: "caller" }))
      assert.strictEqual((yield* one("replay", checkpoints.begin(input)))._tag, "Replayed")
      yield* one("prune", runs.prune({ olderThan: Duration.hours(1) }))
      yield* one("erase", runs.erase({ agentName: input.meta.agentName }))
      yield* one("delete", checkpoints.delete(yield* begun(checkpoints)))
      yield* one("ping", checkpoints.ping)
    }).pipe(Effect.scoped))
})

describe("statements on the server", () => {
  it.live("list interrupted runs by one index scan among 10,000 live ones", () =>
    Effect.gen(function*() {
      const { checkpoints, pool, schema } = yield* freshStore()
      const template = yield* begun(checkpoints)
      yield* checkpoints.release(yield* begun(checkpoints))
      yield* Effect.promise(() =>
        pool.query(`insert into ${schema}.run (run_id, lease_until, due, started_at, updated_at, attempt_at,
            max_attempts, exclusive, owner, kind, agent_name, definition, definition_hash, meta)
          select gen_random_uuid(), lease_until, due, started_at, updated_at, attempt_at, max_attempts, exclusive,
            owner, kind, agent_name, definition, definition_hash, meta
          from ${schema}.run, generate_series(1, 10000) where run_id = '${template.runId}'`)
      )
      yield* Effect.promise(() => pool.query(`analyze ${schema}.run`))
      const { text, values } = listing({}, {}, Sql.tables(schema))
      const { rows } = yield* Effect.promise(() =>
        pool.query<{ "QUERY PLAN": string }>(`explain (analyze, buffers) ${text}`, [...values])
      )
      const plan = rows.map((row) => row["QUERY PLAN"]).join("\n")

      assert.lengthOf(plan.match(/Scan using|Seq Scan|Bitmap Heap/g) ?? [], 1, plan)
      assert.match(plan, /Index Scan using run_due/)
      assert.lengthOf((yield* checkpoints.listInterrupted()).items, 1)
    }).pipe(Effect.scoped))

  it.live("update heads within their page", () =>
    Effect.gen(function*() {
      const { checkpoints, pool, schema } = yield* freshStore({ max: 1 })
      const lease = yield* begun(checkpoints)
      for (let row = 0; row < 200; row++) {
        yield* checkpoints.save(lease, append(row, ["x".repeat(500)], { iteration: row, phase: `phase ${row % 7}` }))
      }
      const hot = Effect.promise(() =>
        pool.query<{ all: number; hot: number }>(
          `select pg_stat_get_xact_tuples_updated(c.oid)::int + pg_stat_get_tuples_updated(c.oid)::int as all,
            pg_stat_get_xact_tuples_hot_updated(c.oid)::int + pg_stat_get_tuples_hot_updated(c.oid)::int as hot
          from pg_class c where c.oid = '${schema}.run'::regclass`
        )
      )
      // A connection reports what it did once in a while.
      for (;;) {
        const { rows: [stats] } = yield* hot
        if ((stats?.all ?? 0) >= 200) {
          assert.isAtLeast(stats?.hot ?? 0, 190)
          return
        }
        yield* Effect.sleep(100)
      }
    }).pipe(Effect.scoped))

  it.live("prune a run with a key a day after it was settled, not earlier", () =>
    Effect.gen(function*() {
      const { checkpoints, pool, runs, schema } = yield* freshStore()
      const input = inputOf({ idempotency: { key: "key", fingerprint: "payload" } })
      const lease = yield* begun(checkpoints, input)
      yield* checkpoints.settle(lease, recordOf(input))
      const age = (hours: string) =>
        Effect.promise(() => pool.query(`update ${schema}.run set settled_at = now() - interval '${hours}'`))
      yield* age("23 hours 59 minutes")
      assert.strictEqual(yield* runs.prune({ olderThan: Duration.hours(1), keepLast: 0 }), 0)
      yield* age("24 hours 1 minute")
      assert.strictEqual(yield* runs.prune({ olderThan: Duration.hours(1) }), 1)

      yield* begun(
        checkpoints,
        inputOf({
          idempotency: { key: "key", fingerprint: "other payload" },
          meta: { agentName: input.meta.agentName }
        })
      )
    }).pipe(Effect.scoped))
})
