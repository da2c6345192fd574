import { assert, describe, it } from "@effect/vitest"
import { Checkpointer } from "@everbeat/core"
import { RedisStore } from "@everbeat/store-redis"
import { Effect, Schedule } from "effect"
import { dyingAtEachByte, dyingAtTurns } from "../../../test/servers/killing.ts"
import { startProxy } from "../../../test/servers/proxy.ts"
import { startVictim } from "../../../test/servers/victims.ts"
import { append, begun, fresh, hostClient, inputFor, onServer, ownServer } from "./support.ts"

const proxyTo = (target: string) =>
  Effect.acquireRelease(
    Effect.promise(() => startProxy(target, 6379)),
    (proxy) => Effect.sync(() => proxy.close())
  )

const agent = ({ checkpoints }: RedisStore.Stores, options: Partial<Checkpointer.MakeOptions> = {}) =>
  Checkpointer.make({ store: checkpoints, ...options, meta: inputFor(fresh("agent")).meta })

/** A store on one client of the host, whose bytes and scripts are counted. */
const counted = Effect.gen(function*() {
  const server = yield* ownServer("--appendfsync", "no")
  const proxy = yield* proxyTo(server.url)
  const admin = yield* hostClient(server.url)
  const stores = yield* RedisStore.makeFrom(yield* hostClient(proxy.url), { onWarning: () => Effect.void })
  const scripts = Effect.promise(async () => {
    const stats = await admin.info("commandstats")
    return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0)
  })
  const during = Effect.fnUntraced(function*<A, E>(effect: Effect.Effect<A, E>) {
    const before = { scripts: yield* scripts, ...proxy.bytes }
    yield* effect
    const { received, sent } = proxy.bytes
    return {
      scripts: (yield* scripts) - before.scripts,
      sent: sent - before.sent,
      received: received - before.received
    }
  })
  return { stores, during }
})

describe("a process that is killed while it saves", () => {
  it.live("leaves the old or the new state, wherever in the command it dies", () =>
    Effect.gen(function*() {
      const { prefix = "", url = "" } = onServer("killed")
      const { checkpoints } = yield* RedisStore.make({ url, prefix })
      const start = (address: string) => Effect.promise(() => startVictim("redis", address, prefix))
      yield* dyingAtEachByte({ checkpoints, proxy: proxyTo(url), start })
    }).pipe(Effect.scoped), 120_000)

  it.live("leaves the old or the new state, wherever in its own work it dies", () =>
    Effect.gen(function*() {
      const { prefix = "", url = "" } = onServer("killed")
      const { checkpoints } = yield* RedisStore.make({ url, prefix })
      yield* dyingAtTurns(checkpoints, (turns) => startVictim("redis", url, prefix, turns))
    }).pipe(Effect.scoped), 120_000)
})

describe("a checkpointer whose connection is lost", () => {
  it.live("goes on, and has each state once, however often it is cut in the middle of a save", () =>
    Effect.gen(function*() {
      const { prefix = "", url = "" } = onServer("cut")
      const proxy = yield* proxyTo(url)
      const client = yield* hostClient(proxy.url, { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 })
      const stores = yield* RedisStore.makeFrom(client, { prefix, onWarning: () => Effect.void })
      const checkpointer = yield* agent(stores)
      const messages: Array<{ readonly content: string }> = []
      for (let round = 0; round < 10; round++) {
        messages.push({ content: `${round} ${"x".repeat(2000)}` })
        if (round % 2 === 0) proxy.stopAfter(200 * round, proxy.cut)
        else proxy.withholdAnswers(proxy.cut)
        yield* checkpointer.save({ messages, iteration: round })
        yield* Effect.sleep("20 millis")
        proxy.restore()
        yield* Effect.retry(checkpointer.flush, { while: ({ _tag }) => _tag === "StoreError", times: 10 })
      }
      const { iteration, messages: rows, position } = yield* stores.checkpoints.load(checkpointer.runId)

      assert.strictEqual(iteration, 9)
      assert.lengthOf(rows, 10)
      assert.isTrue(rows.every((row, round) => row.includes(`"${round} `)))
      // A retry that did not know takes a row of its own where it has nothing new.
      assert.isAtMost(position, 20)
    }).pipe(Effect.scoped))

  it.live("keeps the run alive while the server is down, and stores the newest state when it is back", () =>
    Effect.gen(function*() {
      const server = yield* ownServer("--appendfsync", "always")
      const stores = yield* RedisStore.make({ url: server.url, timeout: "1 second" })
      const checkpointer = yield* agent(stores)
      const all = Array.from({ length: 8 }, (_, n) => ({ content: `m${n}` }))
      yield* checkpointer.save({ messages: all.slice(0, 1) })
      yield* checkpointer.flush
      yield* Effect.promise(() => server.kill())
      for (let count = 2; count <= 7; count++) {
        yield* checkpointer.save({ messages: all.slice(0, count), iteration: count })
        yield* Effect.sleep("100 millis")
      }
      assert.strictEqual((yield* Effect.flip(checkpointer.flush))._tag, "StoreError")
      yield* checkpointer.save({ messages: all, iteration: 8 })
      yield* Effect.promise(() => server.restart())
      // Nobody asks for it: it is written on its own.
      yield* stores.checkpoints.load(checkpointer.runId).pipe(
        Effect.retry({ times: 100, schedule: Schedule.spaced("20 millis") }),
        Effect.repeat({ until: ({ iteration }) => iteration === 8, schedule: Schedule.spaced("20 millis") })
      )
      assert.lengthOf((yield* stores.checkpoints.load(checkpointer.runId)).messages, 8)
      assert.strictEqual((yield* checkpointer.complete()).status, "ok")
    }).pipe(Effect.scoped))
})

describe("what is sent", () => {
  it.live("for a save is as much at the two thousandth message as at the hundredth, in one script", () =>
    Effect.gen(function*() {
      const { during, stores } = yield* counted
      const checkpointer = yield* agent(stores, { leaseTtl: "1 hour" })
      const all = Array.from({ length: 2_000 }, (_, n) => ({ content: `${1000 + n} ${"x".repeat(1000)}` }))
      const cost = (length: number) =>
        during(Effect.andThen(
          checkpointer.save({ messages: all.slice(0, length), iteration: length }),
          checkpointer.flush
        ))
      yield* cost(98) // the server learns the script
      const early = yield* cost(100)
      yield* cost(1_998)
      const late = yield* cost(2_000)

      assert.deepStrictEqual([early.scripts, late.scripts], [1, 1])
      // Numbers have more digits.
      assert.isAtMost(late.sent, early.sent + 64)
      assert.isAtMost(late.received, early.received + 16)
      assert.isAtLeast(early.sent, 2_000)
    }).pipe(Effect.scoped))

  it.live("for a list is as much whatever the histories hold, and a load is one script", () =>
    Effect.gen(function*() {
      const { during, stores } = yield* counted
      const { checkpoints } = stores
      const lease = yield* begun(stores, inputFor("a"))
      const listed = during(Effect.tap(
        checkpoints.listInterrupted({ status: ["running"] }),
        ({ items }) => Effect.sync(() => assert.lengthOf(items, 1))
      ))
      yield* checkpoints.save(lease, { ...append(0, "a", "b"), iteration: 1000 })
      yield* listed
      const short = yield* listed
      const rows = Array.from({ length: 2_000 }, (_, n) => `${n} ${"x".repeat(1000)}`)
      const more = { iteration: 1001, notes: "n".repeat(100_000), workspace: "w".repeat(100_000) }
      yield* checkpoints.save(lease, { ...append(2, ...rows), ...more })
      const long = yield* listed
      assert.strictEqual(long.scripts, short.scripts)
      assert.isAtMost(Math.abs(long.received - short.received), 16)

      // In many pieces: still one.
      const segments = Array.from({ length: 1_000 }, (_, n) => [2 * n, 2 * n + 1] as const)
      yield* checkpoints.save(lease, { ...append(2_002), segments })
      const load = during(Effect.tap(
        checkpoints.load(lease.runId),
        ({ messages }) => Effect.sync(() => assert.lengthOf(messages, 1_000))
      ))
      yield* load
      assert.strictEqual((yield* load).scripts, 1)
    }).pipe(Effect.scoped))
})
