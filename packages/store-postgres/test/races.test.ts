import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Result } from "effect"
import { DatabaseError, type QueryConfig } from "pg"
import {
  append,
  begun,
  freshAgent,
  freshStore,
  inputOf,
  recordOf,
  replicas,
  ttl,
  whileLocked
} from "./support/fixtures.ts"

const tally = <A, E extends { readonly _tag: string }>(
  results: ReadonlyArray<Result.Result<A, E>>,
  tag: (value: A) => string
) => {
  const counts: Record<string, number> = {}
  for (const result of results) {
    const name = Result.isSuccess(result) ? tag(result.success) : result.failure._tag
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

const race = <A, E>(effects: ReadonlyArray<Effect.Effect<A, E>>) =>
  Effect.forEach(effects, Effect.result, { concurrency: "unbounded" })

describe("PostgresStore, from many connections", () => {
  it.live("lets one of 50 begins of an agent through", () =>
    Effect.gen(function*() {
      const { schema } = yield* freshStore()
      const stores = yield* replicas(schema, 10)
      for (const idempotency of [undefined, { key: "key", fingerprint: "payload" }]) {
        const agentName = freshAgent()
        const results = yield* race(
          Array.from({ length: 5 }, () =>
            stores.map(({ checkpoints }) =>
              checkpoints.begin(inputOf({ exclusive: idempotency === undefined, idempotency, meta: { agentName } }))
            )).flat()
        )
        assert.deepStrictEqual(
          tally(results, ({ _tag }) =>
            _tag),
          { Begun: 1, AgentBusy: 49 }
        )
      }
    }).pipe(Effect.scoped))

  it.live("runs the request of a key once, however begins and ends follow each other", () =>
    Effect.gen(function*() {
      const { schema } = yield* freshStore()
      const stores = yield* replicas(schema, 6)
      const agentName = freshAgent()
      for (let round = 0; round < 20; round++) {
        const idempotency = { key: `key ${round}`, fingerprint: "payload" }
        const results = yield* race(stores.map(({ checkpoints }) => {
          const input = inputOf({ idempotency, meta: { agentName } })
          return Effect.tap(
            checkpoints.begin(input),
            (answer) => answer._tag === "Begun" ? checkpoints.settle(answer.lease, recordOf(input)) : Effect.void
          )
        }))
        const { AgentBusy = 0, Begun, Replayed = 0 } = tally(results, ({ _tag }) => _tag)
        assert.strictEqual(Begun, 1)
        assert.strictEqual(AgentBusy + Replayed, 5)
      }
    }).pipe(Effect.scoped))

  it.live("keeps one of 20 saves at one position", () =>
    Effect.gen(function*() {
      const { checkpoints, schema } = yield* freshStore()
      const stores = yield* replicas(schema, 20, { max: 1 })
      const lease = yield* begun(checkpoints)
      const results = yield* race(
        stores.map(({ checkpoints }, n) => checkpoints.save(lease, append(0, [`${n}`, `${n}`])))
      )
      const { messages, position } = yield* checkpoints.load(lease.runId)

      assert.deepStrictEqual(tally(results, () => "Saved"), { Saved: 1, Conflict: 19 })
      assert.strictEqual(position, 2)
      assert.strictEqual(messages[0], messages[1])
    }).pipe(Effect.scoped))

  it.live("renews leases while their runs are saved, without a deadlock", () =>
    Effect.gen(function*() {
      const { checkpoints, pool } = yield* freshStore({ options: "-c deadlock_timeout=20ms -c log_min_messages=panic" })
      const leases = yield* Effect.forEach(Array.from({ length: 30 }), () => begun(checkpoints), {
        concurrency: "unbounded"
      })
      let failures = 0
      const query = pool.query.bind(pool)
      const counted = async (config: QueryConfig) => {
        try {
          return await query(config)
        } catch (cause) {
          if (cause instanceof DatabaseError && cause.code === "40P01") failures++
          throw cause
        }
      }
      Object.assign(pool, { query: counted })
      const saving = Effect.forEach(leases, (lease) =>
        Effect.gen(function*() {
          for (let row = 0; row < 40; row++) yield* checkpoints.save(lease, append(row, ["a"]))
        }), { concurrency: "unbounded" })
      const renewing = Effect.gen(function*() {
        for (;;) {
          const renewals = yield* checkpoints.renew(leases.toReversed(), ttl)
          assert.deepStrictEqual([...new Set(renewals.map(({ state }) => state))], ["renewed"])
        }
      })
      yield* Effect.raceFirst(saving, renewing)

      assert.strictEqual(failures, 0)
    }).pipe(Effect.scoped))

  it.live("renews the other leases while somebody keeps the row of one locked, and waits on no connection", () =>
    Effect.gen(function*() {
      const { checkpoints, pool, schema } = yield* freshStore({ max: 2 })
      const locked = yield* begun(checkpoints)
      const free = yield* begun(checkpoints)
      const renewing = checkpoints.renew([locked, free, locked], ttl)
      const [all, one] = yield* whileLocked(
        pool,
        schema,
        locked.runId,
        Effect.gen(function*() {
          const all = yield* Effect.forEach([1, 2, 3], () => renewing)
          const one = yield* Effect.flip(checkpoints.renew([locked], ttl))
          yield* checkpoints.save(free, append(0, ["a"]))
          return [all, one] as const
        })
      )

      for (const renewals of all) {
        assert.deepStrictEqual(renewals.map(({ runId, state }) => [runId, state]), [
          [locked.runId, "unknown"],
          [free.runId, "renewed"],
          [locked.runId, "unknown"]
        ])
      }
      assert.isTrue(one.isRetryable)
      assert.deepStrictEqual((yield* renewing).map(({ state }) => state), ["renewed", "renewed", "renewed"])
    }).pipe(Effect.scoped))

  it.live("lets no save or renewal that crosses a release take the lease back", () =>
    Effect.gen(function*() {
      const { schema } = yield* freshStore()
      const [one, two, three] = yield* replicas(schema, 3)
      assert(one !== undefined && two !== undefined && three !== undefined)
      for (let round = 0; round < 30; round++) {
        const lease = yield* begun(one.checkpoints)
        yield* Effect.all([
          Effect.result(one.checkpoints.save(lease, append(0, ["a"]))),
          two.checkpoints.release(lease),
          three.checkpoints.renew([lease], ttl)
        ], { concurrency: "unbounded" })
        const { checkpoint } = yield* one.checkpoints.claim(lease.runId, "next", ttl)
        assert.strictEqual(checkpoint.attempts[0]?.end, "released")
        const [late] = yield* three.checkpoints.renew([lease], ttl)
        assert.strictEqual(late?.state, "fenced")
      }
    }).pipe(Effect.scoped))

  it.live("hands an interrupted run only to those of 30 begins that fit, and counts nobody else", () =>
    Effect.gen(function*() {
      const { checkpoints, schema } = yield* freshStore()
      const stores = yield* replicas(schema, 3)
      const agentName = freshAgent()
      const given = { exclusive: true, resumes: "same-hash" } as const
      const lease = yield* begun(checkpoints, inputOf({ ...given, meta: { agentName } }))
      yield* checkpoints.release(lease)
      const callers = (name: string, hash: string) =>
        Array.from(
          { length: 5 },
          () =>
            stores.map((store) =>
              store.checkpoints.begin(inputOf({ ...given, meta: { agentName, definition: { name, hash } } }))
            )
        ).flat()
      const strangers = [...callers("dispatch", "2"), ...callers("another", "1")]
      assert.deepStrictEqual(tally(yield* race(strangers), ({ _tag }) => _tag), { OtherDefinition: 30 })
      assert.lengthOf((yield* checkpoints.load(lease.runId)).attempts, 1)

      const all = [...callers("another", "1"), ...callers("dispatch", "1")]
      const { AgentBusy = 0, OtherDefinition = 0, Resumed } = tally(yield* race(all), ({ _tag }) => _tag)
      assert.strictEqual(Resumed, 1)
      assert.strictEqual(AgentBusy + OtherDefinition, 29)
      assert.lengthOf((yield* checkpoints.load(lease.runId)).attempts, 2)
    }).pipe(Effect.scoped))

  it.live("lets one of 16 claims win", () =>
    Effect.gen(function*() {
      const { checkpoints, schema } = yield* freshStore()
      const stores = yield* replicas(schema, 16, { max: 1 })
      const lease = yield* begun(checkpoints)
      yield* checkpoints.release(lease)
      const results = yield* race(stores.map(({ checkpoints }, n) => checkpoints.claim(lease.runId, `${n}`, ttl)))

      assert.deepStrictEqual(tally(results, ({ _tag }) => _tag), { Resumed: 1, LeaseHeld: 15 })
      assert.lengthOf((yield* checkpoints.load(lease.runId)).attempts, 2)
    }).pipe(Effect.scoped))

  it.live("splits 60 interrupted runs between 8 claimers", () =>
    Effect.gen(function*() {
      const { checkpoints, schema } = yield* freshStore()
      const stores = yield* replicas(schema, 8, { max: 1 })
      const leases = yield* Effect.forEach(Array.from({ length: 60 }), () => begun(checkpoints), {
        concurrency: "unbounded"
      })
      yield* Effect.forEach(leases, (lease) => checkpoints.release(lease), { concurrency: "unbounded" })
      const claim = (store: typeof stores[number], owner: string) =>
        Effect.gen(function*() {
          const mine: Array<string> = []
          for (;;) {
            const claimed = yield* store.checkpoints.claimNext(owner, ttl, 3)
            if (claimed.length === 0) return mine
            for (const { lease } of claimed) mine.push(lease.runId)
          }
        })
      const shares = yield* Effect.forEach(stores, (store, n) => claim(store, `owner ${n}`), {
        concurrency: "unbounded"
      })
      // Who finds only rows that others are about to take goes home early; nothing is left for long.
      const rest = yield* checkpoints.claimNext("last", ttl, 60)
      const ids = [...shares.flat(), ...rest.map(({ lease }) => lease.runId)]

      assert.deepStrictEqual(ids.toSorted(), leases.map(({ runId }) => runId).toSorted())
    }).pipe(Effect.scoped))

  it.live("leaves no row behind when a save and the end of its run cross", () =>
    Effect.gen(function*() {
      const { pool, schema } = yield* freshStore()
      const [one, two] = yield* replicas(schema, 2)
      assert(one !== undefined && two !== undefined)
      for (let round = 0; round < 30; round++) {
        const input = inputOf()
        const lease = yield* begun(one.checkpoints, input)
        const end = round % 2 === 0
          ? two.checkpoints.settle(lease, recordOf(input))
          : two.checkpoints.delete(lease)
        yield* Effect.all([Effect.result(one.checkpoints.save(lease, append(0, ["a"]))), end], {
          concurrency: "unbounded"
        })
      }
      const { rows } = yield* Effect.promise(() => pool.query(`select count(*)::int as n from "${schema}".run_row`))

      assert.deepStrictEqual(rows, [{ n: 0 }])
    }).pipe(Effect.scoped))

  it.live("accepts no write of a fenced owner and loses no accepted one while leases expire under their owners", () =>
    Effect.gen(function*() {
      const short = Duration.millis(150)
      const steps = 5
      const { checkpoints, pool, schema } = yield* freshStore()
      const owners = yield* replicas(schema, 12, { max: 2 })
      const ids = new Set<string>()
      yield* Effect.forEach(
        Array.from({ length: 60 }),
        () =>
          Effect.gen(function*() {
            const lease = yield* begun(checkpoints)
            ids.add(lease.runId)
            yield* checkpoints.release(lease)
          }),
        { concurrency: 20 }
      )
      // Each accepted row: who wrote it, under which fence. Every owner outlives its lease now and then.
      const accepted: Array<
        { readonly runId: string; readonly row: number; readonly text: string; readonly fence: number }
      > = []
      let settled = 0
      let refused = 0
      let frozen: string | undefined
      let firstFence: number | undefined
      const work = (owner: typeof owners[number], name: string) =>
        Effect.gen(function*() {
          let turn = name.length
          while (settled < ids.size) {
            const claimed = yield* owner.checkpoints.claimNext(name, short, 2)
            if (claimed.length === 0) yield* Effect.sleep(20)
            yield* Effect.forEach(claimed, ({ checkpoint, lease }) =>
              Effect.gen(function*() {
                for (let row = checkpoint.position; row < steps; row++) {
                  turn = (turn * 48_271 + 11) % 2_147_483_647
                  yield* Effect.sleep(turn % 8 === 0 ? 200 : turn % 15)
                  // Chance may spare every owner: the first one waits until another has taken its run.
                  while (frozen === undefined || frozen === lease.runId && lease.fence === firstFence) {
                    frozen ??= lease.runId
                    firstFence ??= lease.fence
                    const { attempts } = yield* owner.checkpoints.load(lease.runId)
                    if (attempts.length > checkpoint.attempts.length) break
                    yield* Effect.sleep(20)
                  }
                  const text = `${name} ${lease.fence} ${row}`
                  yield* owner.checkpoints.save(lease, append(row, [text], { ttl: short }))
                  accepted.push({ runId: lease.runId, row, text, fence: lease.fence })
                }
                const { messages } = yield* owner.checkpoints.load(lease.runId)
                const mine = accepted.filter(({ runId }) => runId === lease.runId).toSorted((a, b) => a.row - b.row)
                yield* owner.checkpoints.settle(lease, recordOf({ ...inputOf(), meta: checkpoint }))
                settled++
                assert.deepStrictEqual(messages, mine.map(({ text }) => text))
                assert.deepStrictEqual(mine.map(({ row }) => row), [0, 1, 2, 3, 4])
                const fences = mine.map(({ fence }) => fence)
                assert.deepStrictEqual(fences, fences.toSorted((a, b) => a - b))
              }).pipe(
                Effect.catchTags({
                  Fenced: () => Effect.sync(() => void refused++),
                  Gone: () => Effect.sync(() => void refused++),
                  RunNotFound: () => Effect.sync(() => void refused++)
                })
              ), { concurrency: "unbounded" })
          }
        })
      // Runs that made no progress twice are exhausted: they are claimed by name.
      const rescue = Effect.gen(function*() {
        while (settled < ids.size) {
          yield* Effect.sleep(100)
          yield* Effect.promise(() => pool.query(`update "${schema}".run set stalled = 0 where stalled > 1`))
        }
      })
      yield* Effect.all([rescue, ...owners.map((owner, n) => work(owner, `owner-${n}`))], { concurrency: "unbounded" })

      assert.strictEqual(settled, 60)
      assert.isAbove(refused, 0, "no owner was ever fenced: the test proves nothing")
      assert.lengthOf(accepted, 60 * steps)
    }).pipe(Effect.scoped))
})
