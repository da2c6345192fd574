import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { OpenStreams } from "../../src/internal/openStreams.ts"

const isOver = (fiber: Fiber.Fiber<unknown>) => fiber.pollUnsafe() !== undefined

/** A stream of two events, read by hand: the second one comes when the test says so. */
const opened = Effect.fnUntraced(function*(streams: OpenStreams) {
  const gate = yield* Deferred.make<void>()
  const events = Stream.make("one").pipe(Stream.concat(Stream.fromEffect(Effect.as(Deferred.await(gate), "two"))))
  const wanted = yield* Queue.unbounded<void>()
  const reader = yield* Stream.runForEach(streams.count(events), () => Queue.take(wanted)).pipe(
    Effect.forkChild({ startImmediately: true })
  )
  return { come: Deferred.succeed(gate, undefined), want: Queue.offer(wanted, undefined), reader }
})

describe("the streams that a shutdown waits for", () => {
  it.effect("are over when there are none, and when the last one has ended", () =>
    Effect.gen(function*() {
      const streams = new OpenStreams()
      yield* streams.over
      const { come, reader, want } = yield* opened(streams)
      const over = yield* Effect.forkChild(streams.over, { startImmediately: true })
      yield* want
      yield* TestClock.adjust("10 minutes")
      assert.isFalse(isOver(over), "somebody waits for the next event")
      yield* come
      yield* want
      yield* Fiber.join(reader)
      yield* Fiber.join(over)
    }))

  it.effect("are over for those that nobody reads", () =>
    Effect.gen(function*() {
      const streams = new OpenStreams()
      yield* opened(streams) // took one event, and never asks for another
      const over = yield* Effect.forkChild(streams.over, { startImmediately: true })
      assert.isFalse(isOver(over))
      yield* TestClock.adjust("50 millis")
      yield* Fiber.join(over)
    }))

  it.effect("are not over while one of them is read", () =>
    Effect.gen(function*() {
      const streams = new OpenStreams()
      yield* opened(streams)
      const { come, want } = yield* opened(streams)
      yield* want
      const over = yield* Effect.forkChild(streams.over, { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.isFalse(isOver(over))
      yield* come // and that is not read: it is over
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(over)
    }))
})
