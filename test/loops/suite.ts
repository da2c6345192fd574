/** What every adapter of an agent loop promises, on a store. */
import { assert, describe, it } from "@effect/vitest"
import type { CheckpointStore, RunStore } from "@everbeat/core"
import type { Crash } from "@everbeat/core/testing"
import { Deferred, Effect, type Layer } from "effect"
import { cutOffAt, type Death, killedAt, type Make, startProcess } from "./processes.ts"
import { World } from "./world.ts"

type Stores = CheckpointStore.CheckpointStore | RunStore.RunStore

/** More writes than a run makes. */
const most = Array.from({ length: 16 }, (_, index) => index + 1)

export interface Options {
  readonly points: ReadonlyArray<Crash.CrashPoint>
}

/** Runs the tests on fresh stores of the layer, one for each. */
export const suite = (store: string, layer: () => Layer.Layer<Stores, unknown>, make: Make, { points }: Options) =>
  describe(`on the ${store} store`, () => {
    const live = (title: string, test: Effect.Effect<void, unknown, Stores>) =>
      it.live(title, () => Effect.provide(test, layer()), 120_000)

    live(
      "makes every change once when nothing happens",
      Effect.gen(function*() {
        const world = new World()
        const process = yield* startProcess()
        const run = yield* Effect.flatMap(process.start(make(world)), ({ record }) => record)
        yield* process.stop
        assert.deepStrictEqual([run.status, run.result, run.errors], ["ok", "All is done.", []])
        assert.deepStrictEqual(world.applied, ["comment", "label", "close"])
      })
    )

    for (const point of points) {
      live(
        `makes every change once, whichever write the process is killed at (${point})`,
        Effect.gen(function*() {
          const told = new Set<string>()
          const killed = (death: Death) =>
            Effect.gen(function*() {
              const world = new World()
              const { crashed, run } = yield* killedAt(make, world, death, point)
              const at = `${point} ${death}`
              assert.deepStrictEqual(world.changes, World.once, `each once, ${at}`)
              assert.deepStrictEqual([run.status, run.errors, run.result], ["ok", [], "All is done."], at)
              for (const text of world.told.flat()) told.add(text)
              return { crashed, asked: world.told.length }
            }).pipe(Effect.provide(layer()))
          const runs = yield* Effect.forEach(most, killed, { concurrency: 4 })
          const crashed = runs.map(({ crashed }) => crashed)
          assert.isAtLeast(crashed.lastIndexOf(true) + 1, 6, "the run makes that many writes")
          assert.isFalse(crashed.at(-1), "one of them was not disturbed")
          if (point !== "unsent") assert.include([...told].join(), "outcome unknown", "some attempt was told so")
          // The model's last word is stored before the run ends, and is not asked for again.
          assert.deepStrictEqual(yield* killed("end"), { crashed: true, asked: runs.at(-1)?.asked ?? 0 })
        })
      )
    }

    live(
      "does not repeat what is done when it is stopped in the middle of a tool beside it",
      Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        const world = new World()
        // `label` takes effect and never answers; `comment` beside it does.
        const process = yield* startProcess()
        const stuck = world.for({
          after: (name) =>
            name === "label" ? Effect.andThen(Deferred.succeed(begun, undefined), Effect.never) : Effect.void
        })
        const handle = yield* process.start(make(stuck))
        yield* Deferred.await(begun)
        yield* process.stop
        assert.deepStrictEqual(world.changes, ["comment", "label"])
        const second = yield* startProcess()
        const run = yield* Effect.flatMap(second.start(make(world)), ({ record }) => record)
        yield* second.stop
        assert.deepStrictEqual(world.changes, World.once)
        assert.deepStrictEqual([run.runId, run.status, run.attempts.length], [handle.runId, "ok", 2])
        const last = world.told.flat().join("\n")
        assert.include(last, "outcome unknown", "the model was told that it may have taken effect")
      })
    )

    live(
      "goes on after its timeout in the middle of a tool",
      Effect.gen(function*() {
        const world = new World()
        let stalled = false
        const stalling = world.for({
          before: (name) =>
            Effect.suspend(() => {
              if (name !== "close" || stalled) return Effect.void
              stalled = true
              return Effect.never
            })
        })
        const process = yield* startProcess()
        const run = yield* Effect.flatMap(
          process.start(make(stalling, { timeout: "700 millis" })),
          ({ record }) => record
        )
        yield* process.stop
        assert.deepStrictEqual(world.changes, World.once)
        assert.deepStrictEqual(run.attempts.map(({ reason }) => reason ?? "settled"), ["timeout", "settled"])
      })
    )

    live(
      "changes nothing while its changes cannot be recorded, with onStoreFailure stop, and goes on when they can",
      Effect.gen(function*() {
        const reached = yield* Effect.forEach(most, (n) =>
          Effect.gen(function*() {
            const world = new World()
            const stores = yield* cutOffAt(n)
            const early: Array<string> = []
            const watched = world.for({
              before: (name) =>
                name === "look"
                  ? Effect.void
                  : Effect.map(stores.isRecorded(name), (isRecorded) => void (isRecorded || early.push(name)))
            })
            const first = yield* startProcess(stores.context)
            yield* Effect.exit(
              Effect.flatMap(first.start(make(watched, { onStoreFailure: "stop" })), ({ record }) => record)
            )
            yield* first.stop
            assert.deepStrictEqual(early, [], `nothing began before that was stored, with save ${n} failing`)
            const second = yield* startProcess()
            const run = yield* Effect.flatMap(second.start(make(world)), ({ record }) => record)
            yield* second.stop
            assert.deepStrictEqual(world.changes, World.once, `save ${n}`)
            assert.deepStrictEqual([run.status, run.errors], ["ok", []], `save ${n}`)
            assert.notInclude(world.told.flat().join(), "connection refused", "the model is not told of it")
            return stores.isDown()
          }).pipe(Effect.provide(layer())), { concurrency: 4 })
        assert.isTrue(reached[3], "the run makes that many saves")
        assert.isFalse(reached.at(-1), "one of them was not disturbed")
      })
    )

    live(
      "tells the model that a result cannot be written down, and that the change took effect",
      Effect.gen(function*() {
        const world = new World()
        const odd = world.for({ answer: (name) => name === "label" ? { size: 1n } : `${name} applied` })
        const process = yield* startProcess()
        const run = yield* Effect.flatMap(process.start(make(odd)), ({ record }) => record)
        yield* process.stop
        assert.deepStrictEqual(world.changes, World.once)
        assert.deepStrictEqual([run.status, run.errors], ["ok", []])
        assert.include(world.told.flat().join(), "cannot be written down")
      })
    )

    live(
      "asks the model no more often than it may, over all attempts",
      Effect.gen(function*() {
        const world = new World()
        const begun = yield* Deferred.make<void>()
        const first = yield* startProcess()
        yield* first.start(make(
          world.for({
            before: (name) =>
              name === "close" ? Effect.andThen(Deferred.succeed(begun, undefined), Effect.never) : Effect.void
          }),
          { maxIterations: 3 }
        ))
        yield* Deferred.await(begun) // in the second iteration
        yield* first.stop
        const second = yield* startProcess()
        const run = yield* Effect.flatMap(second.start(make(world, { maxIterations: 3 })), ({ record }) => record)
        yield* second.stop
        // One iteration was left, to look; then it would have closed.
        assert.strictEqual(run.status, "error")
        assert.strictEqual(world.told.length, 3)
        assert.deepStrictEqual(world.changes, ["comment", "label"])
      })
    )
  })
