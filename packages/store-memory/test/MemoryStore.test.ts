import { assert, describe, it } from "@effect/vitest"
import { AgentName, RunId } from "@everbeat/core"
import type { AgentRun } from "@everbeat/core/AgentRun"
import { type BeginInput, CheckpointStore, type Delta } from "@everbeat/core/CheckpointStore"
import type { Lease } from "@everbeat/core/Lease"
import { RunStore } from "@everbeat/core/RunStore"
import { CheckpointStoreTest, RunStoreTest } from "@everbeat/core/testing"
import { MemoryStore } from "@everbeat/store-memory"
import { Clock, Context, DateTime, Duration, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Checkpoints from "../src/internal/checkpoints.ts"
import * as State from "../src/internal/state.ts"
import * as Stores from "../src/internal/stores.ts"

/** As `MemoryStore.layer` makes it, with a state that the kit can damage. */
const damageable = State.make()
const layer = Layer.effectContext(
  Effect.map(
    Stores.make(damageable, 10_000),
    ({ checkpoints, runs }) => Context.make(CheckpointStore, checkpoints).pipe(Context.add(RunStore, runs))
  )
)

CheckpointStoreTest.suite("memory", layer, {
  damages: {
    "a row is lost": (runId) =>
      Effect.sync(() => {
        damageable.heads.get(runId)?.rows.pop()
      })
  }
})
RunStoreTest.suite("memory", MemoryStore.layer)

const triage = AgentName.make("triage")
const ttl = Duration.seconds(30)

const input = (key?: string): BeginInput => ({
  meta: {
    runId: RunId.make(triage),
    kind: "heartbeat",
    agentName: triage,
    definition: { name: "dispatch", hash: "1" }
  },
  owner: "owner",
  ttl,
  maxAttempts: 3,
  exclusive: true,
  resumes: "same-name",
  idempotency: key === undefined ? undefined : { key, fingerprint: "payload" }
})

const begin = Effect.fnUntraced(function*(store: CheckpointStore["Service"], key?: string) {
  const answer = yield* store.begin(input(key))
  assert(answer._tag === "Begun")
  return answer.lease
})

const settle = Effect.fnUntraced(function*(store: CheckpointStore["Service"], key?: string) {
  const { meta, idempotency } = input(key)
  const lease = yield* begin(store, key)
  const now = yield* DateTime.now
  const record: AgentRun = {
    ...meta,
    runId: lease.runId,
    status: "ok",
    startedAt: now,
    finishedAt: now,
    summary: "ok",
    warnings: [],
    errors: [],
    touchedIssueUrls: [],
    steps: [],
    attempts: [],
    ...(idempotency && { idempotency })
  }
  yield* store.settle(lease, record)
  return lease.runId
})

const rowsDelta = (position: number, rows: ReadonlyArray<string>): Delta => ({
  position,
  rows,
  segments: [[0, position + rows.length]],
  ttl
})

describe("MemoryStore.layer", () => {
  it.effect("keeps no more settled runs than it was told, the newest", () =>
    Effect.gen(function*() {
      const { checkpoints, runs } = yield* MemoryStore.make({ maxRuns: 3 })
      const ids: Array<RunId.RunId> = []
      for (let count = 0; count < 10; count++) ids.push(yield* settle(checkpoints))
      const { items } = yield* runs.list()

      assert.deepStrictEqual(items.map(({ runId }) => runId), ids.slice(-3).toReversed())
    }))

  it.effect("evicts no run whose idempotency key may still be asked for", () =>
    Effect.gen(function*() {
      const { checkpoints, runs } = yield* MemoryStore.make({ maxRuns: 2 })
      const keyed = yield* settle(checkpoints, "key")
      for (let count = 0; count < 10; count++) yield* settle(checkpoints)
      const answer = yield* checkpoints.begin(input("key"))

      assert.strictEqual(answer._tag, "Replayed")
      assert.strictEqual((yield* runs.get(keyed)).runId, keyed)
      assert.lengthOf((yield* runs.list()).items, 2)
    }))

  it.effect("evicts a run with a key a day later, and the key with it", () =>
    Effect.gen(function*() {
      const { checkpoints, runs } = yield* MemoryStore.make({ maxRuns: 1 })
      const keyed = yield* settle(checkpoints, "key")
      yield* TestClock.adjust("25 hours")
      yield* settle(checkpoints)

      yield* Effect.flip(runs.get(keyed))
      assert.strictEqual((yield* checkpoints.begin(input("key")))._tag, "Begun")
    }))

  it.effect("does not let runs without a key pile up behind young keys", () =>
    Effect.gen(function*() {
      const { checkpoints, runs } = yield* MemoryStore.make({ maxRuns: 10 })
      for (let count = 0; count < 50; count++) yield* settle(checkpoints, `key ${count}`)
      for (let count = 0; count < 500; count++) yield* settle(checkpoints)
      const { items } = yield* runs.list({}, { limit: 1_000 })
      const keyed = items.filter((run) => "idempotency" in run)

      assert.lengthOf(keyed, 50)
      assert.isBelow(items.length - keyed.length, 50)
    }))

  it.effect("lets a lease expire although the wall clock is set back", () =>
    Effect.gen(function*() {
      const { checkpoints } = yield* MemoryStore.make()
      const { runId } = yield* begin(checkpoints)
      const now = yield* Clock.currentTimeMillis
      yield* TestClock.setTime(now - 3_600_000)
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual((yield* Effect.flip(checkpoints.claim(runId, "other", ttl)))._tag, "LeaseHeld")
      yield* TestClock.adjust("2 seconds")

      assert.strictEqual((yield* checkpoints.claim(runId, "other", ttl))._tag, "Resumed")
    }))

  it.effect("starts every store empty", () =>
    Effect.gen(function*() {
      const one = yield* MemoryStore.make()
      const two = yield* MemoryStore.make()
      const { runId } = yield* begin(one.checkpoints)

      assert.strictEqual((yield* one.runs.get(runId)).status, "running")
      assert.strictEqual((yield* Effect.flip(two.runs.get(runId)))._tag, "RunNotFound")
    }))
})

describe("a save on a long history", () => {
  /** An array that counts what is done to it. */
  const counted = (rows: Array<string>) => {
    const count = { reads: 0, writes: 0 }
    const isIndex = (property: string | symbol): boolean => typeof property === "string" && /^\d+$/.test(property)
    const proxy = new Proxy(rows, {
      get: (target, property, receiver) => {
        if (isIndex(property)) count.reads++
        return Reflect.get(target, property, receiver)
      },
      set: (target, property, value, receiver) => {
        if (isIndex(property)) count.writes++
        return Reflect.set(target, property, value, receiver)
      }
    })
    return { count, proxy }
  }

  it.effect("touches the new rows only", () =>
    Effect.gen(function*() {
      const state = State.make()
      const store = Checkpoints.make(state, Clock.currentTimeMillis, () => {})
      const lease: Lease = yield* begin(store)
      yield* store.save(lease, rowsDelta(0, Array.from({ length: 2_000 }, (_, row) => `row ${row}`)))
      const head = state.heads.get(lease.runId)
      assert(head !== undefined)
      const { count, proxy } = counted(head.rows)
      state.heads.set(lease.runId, Object.assign(head, { rows: proxy }))
      yield* store.save(lease, rowsDelta(2_000, ["new", "newer"]))

      assert.deepStrictEqual(count, { reads: 0, writes: 2 })
      assert.strictEqual(state.heads.get(lease.runId)?.rows, proxy, "the history is the same array")
      assert.lengthOf((yield* store.load(lease.runId)).messages, 2_002)
    }))
})
