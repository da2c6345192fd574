import { assert, describe, it } from "@effect/vitest"
import { RedisStore } from "@everbeat/store-redis"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { TimeLimit } from "../src/internal/timeLimit.ts"
import { hostClient, ownServer } from "./support.ts"

const limitOf = (duration: Duration.Input) =>
  Effect.clockWith((clock) => Effect.succeed(new TimeLimit(clock, Duration.toMillis(duration))))

describe("the time limit", () => {
  it.effect("ends each operation at its own time, by the clock", () =>
    Effect.gen(function*() {
      const limit = yield* limitOf("1 second")
      const fired: Array<string> = []
      for (const name of ["a", "b", "c"]) {
        const stop = limit.start(() => void fired.push(name))
        if (name === "b") stop()
        yield* TestClock.adjust("300 millis")
      }
      yield* TestClock.adjust("99 millis")
      assert.deepStrictEqual(fired, [])
      yield* TestClock.adjust("2 millis")
      assert.deepStrictEqual(fired, ["a"])
      yield* TestClock.adjust("10 seconds")
      limit.start(() => void fired.push("d"))
      assert.deepStrictEqual(fired, ["a", "c"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(fired, ["a", "c", "d"])
    }))

  it.effect("may be longer than a timer can wait, or endless", () =>
    Effect.gen(function*() {
      const fired: Array<string> = []
      const [long, endless] = [yield* limitOf("60 days"), yield* limitOf("Infinity")]
      long.start(() => void fired.push("long"))
      endless.start(() => void fired.push("endless"))
      yield* TestClock.adjust("59 days")
      assert.deepStrictEqual(fired, [])
      yield* TestClock.adjust("2 days")
      assert.deepStrictEqual(fired, ["long"])
    }))

  it.live("does not end an operation at once when it is longer than a timer can wait", () =>
    Effect.gen(function*() {
      const limit = yield* limitOf("60 days")
      let fired = false
      const stop = limit.start(() => {
        fired = true
      })
      yield* Effect.sleep("300 millis")
      stop()
      assert.isFalse(fired)
    }))

  it.effect("of an operation is kept by the clock of the caller, and a caller that is interrupted waits no more", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      const { checkpoints } = yield* RedisStore.makeFrom(yield* hostClient(server.url))
      process.kill(server.pid(), "SIGSTOP")
      const [first, second] = [
        yield* Effect.forkChild(Effect.flip(checkpoints.ping)),
        yield* Effect.forkChild(checkpoints.ping)
      ]
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.interrupt(second)
      assert.isUndefined(first.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(first)).reason, "timeout")
    }).pipe(Effect.scoped))
})
