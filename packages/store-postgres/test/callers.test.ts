import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Batch from "../src/internal/batch.ts"
import { Lanes } from "../src/internal/lanes.ts"

/** What nobody caught in the meantime. The runner of the tests does not hear of it. */
const unhandled = Effect.acquireRelease(
  Effect.sync(() => {
    const caught: Array<unknown> = []
    const others = process.rawListeners("unhandledRejection")
    process.removeAllListeners("unhandledRejection")
    process.on("unhandledRejection", (cause) => caught.push(cause))
    return { caught, others }
  }),
  ({ others }) =>
    Effect.sync(() => {
      process.removeAllListeners("unhandledRejection")
      for (const other of others) process.on("unhandledRejection", other as (cause: unknown) => void)
    })
)

describe("callers that share a statement", () => {
  it.live("get their answers, once, also when what one of them does with its own throws", () =>
    Effect.gen(function*() {
      const { caught } = yield* unhandled
      const sent: Array<ReadonlyArray<number>> = []
      const submit = Batch.make<number, number>(new Lanes(), {
        operation: "save",
        keyOf: String,
        sizeOf: () => 1,
        send: async (requests) => {
          sent.push(requests)
          return requests.map((request) => request * 10)
        }
      })
      const bug = new TypeError("a bug of the host")
      const fibers = [1, 2, 3].map((request) => Effect.runFork(submit(request)))
      fibers[0]?.addObserver(() => {
        throw bug
      })
      const answers = yield* Effect.forEach(fibers.slice(1), (fiber) => Fiber.join(fiber))
      yield* Effect.sleep(0)
      assert.deepStrictEqual(answers, [20, 30])
      assert.deepStrictEqual(sent, [[1, 2, 3]])
      assert.deepStrictEqual(caught, [bug])
    }).pipe(Effect.scoped))
})
