import { assert, describe, it } from "@effect/vitest"
import { Checkpointer } from "@everbeat/core"
import type { CheckpointStore } from "@everbeat/core/CheckpointStore"
import { Effect, Schedule } from "effect"
import { dyingAtEachByte, dyingAtTurns } from "../../../test/servers/killing.ts"
import { startProxy } from "../../../test/servers/proxy.ts"
import { startVictim } from "../../../test/servers/victims.ts"
import { countingProxy } from "./support/counter.ts"
import { url } from "./support/database.ts"
import { append, begun, freshAgent, freshStore } from "./support/fixtures.ts"

const proxyTo = (target: string) =>
  Effect.acquireRelease(
    Effect.promise(() => startProxy(target, 5432)),
    (proxy) => Effect.sync(() => proxy.close())
  )

const agent = (store: CheckpointStore["Service"], options: Partial<Checkpointer.MakeOptions> = {}) =>
  Checkpointer.make({ store, storeTimeout: "10 seconds", ...options, meta: { agentName: freshAgent() } })

describe("a process that is killed while it saves", () => {
  it.live("leaves the old or the new state, wherever in the statement it dies", () =>
    Effect.gen(function*() {
      const { checkpoints, schema } = yield* freshStore()
      const start = (address: string) => Effect.promise(() => startVictim("postgres", address, schema))
      yield* dyingAtEachByte({ checkpoints, proxy: proxyTo(url()), start })
    }).pipe(Effect.scoped), 120_000)

  it.live("leaves the old or the new state, wherever in its own work it dies", () =>
    Effect.gen(function*() {
      const { checkpoints, schema } = yield* freshStore()
      yield* dyingAtTurns(checkpoints, (turns) => startVictim("postgres", url(), schema, turns))
    }).pipe(Effect.scoped), 120_000)
})

describe("a checkpointer whose connection is lost", () => {
  it.live("goes on, and has each state once, however often it is cut in the middle of a save", () =>
    Effect.gen(function*() {
      const proxy = yield* proxyTo(url())
      const { checkpoints } = yield* freshStore({ connectionString: proxy.url, max: 2 })
      const checkpointer = yield* agent(checkpoints)
      const messages: Array<{ readonly content: string }> = []
      for (let round = 0; round < 10; round++) {
        messages.push({ content: `${round} ${"x".repeat(2000)}` })
        if (round % 2 === 0) proxy.stopAfter(200 * round, proxy.cut)
        else proxy.withholdAnswers(proxy.cut)
        yield* checkpointer.save({ messages, iteration: round })
        yield* Effect.sleep("20 millis")
        proxy.restore()
        yield* checkpointer.flush
      }
      const { iteration, messages: rows, position } = yield* checkpoints.load(checkpointer.runId)

      assert.strictEqual(iteration, 9)
      assert.lengthOf(rows, 10)
      assert.isTrue(rows.every((row, round) => row.includes(`"${round} `)))
      // A retry that did not know takes a row of its own where it has nothing new.
      assert.isAtMost(position, 20)
    }).pipe(Effect.scoped))

  it.live("keeps the run alive while the server is away, and stores the newest state when it is back", () =>
    Effect.gen(function*() {
      const proxy = yield* proxyTo(url())
      const { checkpoints } = yield* freshStore({ connectionString: proxy.url, connectionTimeoutMillis: 500 })
      const checkpointer = yield* agent(checkpoints)
      const all = Array.from({ length: 8 }, (_, n) => ({ content: `m${n}` }))
      yield* checkpointer.save({ messages: all.slice(0, 1) })
      yield* checkpointer.flush
      proxy.down()
      for (let count = 2; count <= 7; count++) {
        yield* checkpointer.save({ messages: all.slice(0, count), iteration: count })
        yield* Effect.sleep("100 millis")
      }
      assert.strictEqual((yield* Effect.flip(checkpointer.flush))._tag, "StoreError")
      yield* checkpointer.save({ messages: all, iteration: 8 })
      proxy.up()
      // Nobody asks for it: it is written on its own.
      yield* checkpoints.load(checkpointer.runId).pipe(
        Effect.repeat({ until: ({ iteration }) => iteration === 8, schedule: Schedule.spaced("20 millis") })
      )
      assert.lengthOf((yield* checkpoints.load(checkpointer.runId)).messages, 8)
      assert.strictEqual((yield* checkpointer.complete()).status, "ok")
    }).pipe(Effect.scoped))
})

describe("what is sent", () => {
  it.live("for a save is as much at the two thousandth message as at the hundredth, in one statement", () =>
    Effect.gen(function*() {
      const counter = yield* countingProxy
      const proxy = yield* proxyTo(counter.url)
      const { checkpoints } = yield* freshStore({ connectionString: proxy.url, max: 1 })
      const checkpointer = yield* agent(checkpoints, { leaseTtl: "1 hour" })
      const all = Array.from({ length: 2_000 }, (_, n) => ({ content: `${1000 + n} ${"x".repeat(1000)}` }))
      const cost = Effect.fnUntraced(function*(length: number) {
        const before = { statements: counter.count.statements, ...proxy.bytes }
        yield* checkpointer.save({ messages: all.slice(0, length), iteration: length })
        yield* checkpointer.flush
        return {
          statements: counter.count.statements - before.statements,
          sent: proxy.bytes.sent - before.sent,
          received: proxy.bytes.received - before.received
        }
      })
      yield* cost(96)
      yield* cost(98) // the statement is prepared
      const early = yield* cost(100)
      yield* cost(1_998)
      const late = yield* cost(2_000)

      assert.deepStrictEqual([early.statements, late.statements], [1, 1])
      // Numbers have more digits.
      assert.isAtMost(late.sent, early.sent + 64)
      assert.isAtMost(late.received, early.received + 16)
      assert.isAtLeast(early.sent, 2_000)
    }).pipe(Effect.scoped))

  it.live("for a list is as much whatever the histories hold, and a load is one statement", () =>
    Effect.gen(function*() {
      const counter = yield* countingProxy
      const proxy = yield* proxyTo(counter.url)
      const { checkpoints } = yield* freshStore({ connectionString: proxy.url, max: 1 })
      const lease = yield* begun(checkpoints)
      const listed = Effect.gen(function*() {
        const before = { statements: counter.count.statements, received: proxy.bytes.received }
        const { items } = yield* checkpoints.listInterrupted({ status: ["running"] })
        assert.lengthOf(items, 1)
        return [counter.count.statements - before.statements, proxy.bytes.received - before.received]
      })
      yield* checkpoints.save(lease, append(0, ["a", "b"], { iteration: 1000 }))
      yield* listed
      const short = yield* listed
      const rows = Array.from({ length: 2_000 }, (_, n) => `${n} ${"x".repeat(1000)}`)
      const more = { iteration: 1001, notes: "n".repeat(100_000), workspace: "w".repeat(100_000) }
      yield* checkpoints.save(lease, append(2, rows, more))
      const long = yield* listed
      assert.strictEqual(long[0], 1)
      assert.isAtMost(Math.abs((long[1] ?? 0) - (short[1] ?? 0)), 16)

      // In many pieces: still one.
      const segments = Array.from({ length: 1_000 }, (_, n) => [2 * n, 2 * n + 1] as const)
      yield* checkpoints.save(lease, { ...append(2_002, []), segments })
      const before = counter.count.statements
      assert.lengthOf((yield* checkpoints.load(lease.runId)).messages, 1_000)
      assert.strictEqual(counter.count.statements - before, 1)
    }).pipe(Effect.scoped))
})
