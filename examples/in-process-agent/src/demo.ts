/**
 * `npm run demo:resume`: an agent is stopped, killed and raced for, and its work goes on. Everything is measured, and the
 * last line is what was found out as JSON. Ends with exit code 0 only if all of it is as promised.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { AgentName, CheckpointStore, RunStore } from "@everbeat/core"
import { Cause, Duration, Effect, FileSystem, Layer, Logger, Option, Path, Redacted } from "effect"
import { randomUUID } from "node:crypto"
import { startPostgres } from "../../../test/servers/postgres.ts"
import * as Measure from "./Measure.ts"
import * as Repository from "./Repository.ts"
import * as Scenes from "./Scenes.ts"
import * as Screen from "./Screen.ts"
import * as Stage from "./Stage.ts"
import * as Store from "./Store.ts"

/** The store of the environment, or a private server that is gone with the scope. */
const address = Effect.flatMap(
  Store.address,
  Option.match({
    onSome: (url) => Effect.succeed(Redacted.value(url)),
    onNone: () =>
      Effect.map(
        Effect.acquireRelease(Effect.promise(startPostgres), ({ stop }) => Effect.promise(stop)),
        ({ url }) => url
      )
  })
)

/** The first line of what went wrong. */
const reason = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return (error instanceof Error ? error.message : String(error)).split("\n", 1).join("")
}

/** Forgets what the demo left in a store that others use too. */
const forget = (agentName: AgentName.AgentName) =>
  Effect.ignore(Effect.gen(function*() {
    const checkpoints = yield* CheckpointStore.CheckpointStore
    const { items } = yield* checkpoints.listInterrupted({ agentName })
    for (const { runId } of items) {
      const { lease } = yield* checkpoints.claim(runId, "demo", Duration.seconds(10))
      yield* checkpoints.delete(lease)
    }
    yield* (yield* RunStore.RunStore).erase({ agentName })
  }))

/** A scene that cannot be played to its end says why. What its processes did is measured all the same. */
const play = (scene: Scenes.Scene, title: string) =>
  Effect.scoped(scene(title)).pipe(
    Effect.catchCause((cause) =>
      Cause.hasInterrupts(cause) ? Effect.failCause(cause) : Effect.map(Stage.linesOf(title), (lines) => {
        Screen.verdict(reason(cause), false)
        return {
          resumed: false,
          pruned: false,
          repeated: Measure.repeated(lines),
          claims: Measure.claims(lines)
        } satisfies Scenes.Outcome
      })
    )
  )

const demo = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const root = yield* Effect.flatMap(fs.makeTempDirectoryScoped({ prefix: "everbeat-coder-" }), fs.realPath)
  const repository = yield* Repository.create(root)
  const store = yield* address
  const props = {
    root,
    repository,
    store,
    name: AgentName.make(`coder-${randomUUID().slice(0, 8)}`),
    worker: process.argv[2] ?? path.join(import.meta.dirname, "worker.ts")
  }
  const before = yield* repository.main
  Screen.print(`A coding agent with a scripted model works in ${repository.folder}, each run on a branch of its own.`)

  const [timeout, kill, race] = yield* Effect.all([
    play(Scenes.timeout, "timeout"),
    play(Scenes.kill, "kill"),
    play(Scenes.race, "race")
  ]).pipe(
    Effect.ensuring(forget(props.name)),
    Effect.provide([Layer.succeed(Stage.Props, props), Store.layer(Redacted.make(store))])
  )

  const outcomes = [timeout, kill, race]
  return {
    timeoutResumed: timeout.resumed,
    killResumed: kill.resumed,
    iterationsRepeated: outcomes.reduce((sum, { repeated }) => sum + repeated, 0),
    claims: race.claims,
    branchPruned: outcomes.every(({ pruned }) => pruned),
    mainMoved: (yield* repository.main) !== before
  } satisfies Measure.Verdict
})

NodeRuntime.runMain(
  // The last line comes when everything is cleaned up.
  Effect.scoped(demo).pipe(
    Effect.tap((verdict) =>
      Effect.sync(() => {
        Screen.print()
        Screen.print(JSON.stringify(verdict))
        process.exitCode = Measure.isAsPromised(verdict) ? 0 : 1
      })
    ),
    Effect.tapCause((cause) => Effect.sync(() => Screen.print(`Cannot play the demo: ${reason(cause)}`))),
    Effect.onInterrupt(() => Effect.sync(() => Screen.print("Stopped."))),
    Effect.provide(Layer.merge(NodeServices.layer, Logger.layer([])))
  ),
  { disableErrorReporting: true }
)
