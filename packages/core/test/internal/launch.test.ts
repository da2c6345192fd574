import { assert, it } from "@effect/vitest"
import { Clock, Context, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { limit } from "../../src/internal/launch.ts"
import { Watch } from "../../src/internal/watch.ts"

const options = (watch: Watch) => ({ watch, millis: 5000, graceMillis: 0, onLimit: () => "late" as const })

const makeWatch = Effect.map(Clock.Clock, (clock) => new Watch(clock, Context.make(Clock.Clock, clock)))

it.effect("A limited effect ends with a caller that is interrupted while it starts", () =>
  Effect.gen(function*() {
    const watch = yield* makeWatch
    let interrupted = false
    let caller: Fiber.Fiber<unknown, unknown> | undefined
    const body = Effect.suspend(() => {
      caller?.interruptUnsafe()
      return Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => {
          interrupted = true
        }))
    })
    caller = yield* Effect.forkChild(Effect.withFiber((fiber) => {
      caller = fiber
      return limit(body, options(watch))
    }))
    yield* Fiber.await(caller)
    yield* TestClock.adjust("1 second")
    assert.isTrue(interrupted)
    watch.close()
  }))

it.effect("A timer whose callback throws does not take the other timers with it", () =>
  Effect.gen(function*() {
    const watch = yield* makeWatch
    const fired: Array<string> = []
    watch.after(10, () => {
      throw new Error("a bug")
    })
    watch.after(10, () => void fired.push("due"))
    watch.after(20, () => void fired.push("later"))
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual(fired, ["due", "later"])
    watch.close()
  }))
