/** The three scenes of the demo. Each says what it measured. */
import { CheckpointStore, type RunId } from "@everbeat/core"
import { Effect, type Scope } from "effect"
import * as Measure from "./Measure.ts"
import * as Screen from "./Screen.ts"
import * as Stage from "./Stage.ts"

/** What a scene found out about its run. */
export interface Outcome {
  /** The run was interrupted as the scene wanted it, continued from its checkpoint, and did its work. */
  readonly resumed: boolean
  /** There was a checkpoint branch while the run was interrupted, and is none any more. */
  readonly pruned: boolean
  readonly repeated: number
  readonly claims: number
}

/** Plays a run on a stage of the given name. */
export type Scene = (
  title: string
) => Effect.Effect<Outcome, unknown, Stage.Services | CheckpointStore.CheckpointStore | Scope.Scope>

/** Shows what the store and the repository hold of a run that was interrupted. */
const showCheckpoint = Effect.fnUntraced(function*(runId: RunId.RunId) {
  const { repository } = yield* Stage.Props
  const { iteration, messages, phase } = yield* (yield* CheckpointStore.CheckpointStore).load(runId)
  Screen.print(`   checkpoint: iteration ${iteration}, phase ${phase}, ${messages.length} messages`)
  const branch = `checkpoint/${runId}`
  const line = yield* repository.git("branch", "--list", branch, "--format=%(objectname:short) %(refname:short)")
  const changed = yield* repository.git("diff", "--shortstat", "main", branch)
  Screen.print(`   git branch: ${line} (${changed})`)
  return { iteration, isVisible: line.includes(branch) }
})

const isPruned = Effect.flatMap(
  Stage.Props,
  ({ repository }) => Effect.map(repository.checkpoints, (refs) => refs.length === 0)
)

/** The model stops answering, and the attempt runs into its limit. */
export const timeout: Scene = Effect.fn("Scenes.timeout")(function*(title) {
  Screen.scene("1. The model does not answer: a timeout in the middle")
  const stage = yield* Stage.make(title)
  const process = yield* stage.start({ CODER_STALL_AT: "7", CODER_TIMEOUT: "4 seconds" })
  const runId = yield* stage.begun
  yield* stage.until("the attempt was stopped", (line) => line.event === "stopped" ? line : undefined)
  const kept = yield* showCheckpoint(runId)
  const { input } = yield* stage.until("attempt 2 began", (line) => line.event === "attempt" ? line : undefined)
  Screen.print("   attempt 2 is told:")
  Screen.quote(input, 40)
  const { isComplete, run } = yield* stage.finished(runId, process)
  const lines = yield* stage.lines
  const pruned = yield* isPruned
  const timedOut = run?.attempts[0]?.reason === "timeout"
  const resumed = timedOut && kept.iteration > 0 && Measure.isContinued(lines) && isComplete
  Screen.verdict(
    "the attempt ended by its timeout; the next one went on from the checkpoint and finished the work",
    resumed
  )
  Screen.verdict("the checkpoint branch was there, and is pruned", kept.isVisible && pruned)
  return {
    resumed,
    pruned: kept.isVisible && pruned,
    repeated: Measure.repeated(lines),
    claims: Measure.claims(lines)
  }
})

/** The process is killed in the middle of an iteration; another one is started. */
export const kill: Scene = Effect.fn("Scenes.kill")(function*(title) {
  Screen.scene("2. kill -9: a second process recovers the run")
  const stage = yield* Stage.make(title)
  const victim = yield* stage.start()
  const runId = yield* stage.begun
  yield* stage.until(
    "iteration 6 began",
    (line) => line.event === "executing" && line.iteration === 6 ? line : undefined
  )
  const isKilled = yield* stage.kill(victim)
  const kept = yield* showCheckpoint(runId)
  const process = yield* stage.recover(runId)
  const { input } = yield* stage.until("attempt 2 began", (line) => line.event === "attempt" ? line : undefined)
  const [, open = ""] = /## (Tool calls that were open[^#]+)/.exec(input) ?? []
  Screen.quote(open, 6)
  const { isComplete } = yield* stage.finished(runId, process)
  const lines = yield* stage.lines
  const pruned = yield* isPruned
  const byAnother = Measure.attempts(lines).every(({ attempt, pid }) =>
    (pid === Number(victim.pid)) === (attempt === 1)
  )
  const resumed = isKilled && byAnother && Measure.isContinued(lines) && isComplete
  const repeated = Measure.repeated(lines)
  Screen.verdict("another process went on from the checkpoint and finished the work", resumed)
  Screen.verdict(`iterations with an acknowledged save that were repeated: ${repeated}`, repeated === 0)
  return { resumed, pruned: kept.isVisible && pruned, repeated, claims: Measure.claims(lines) }
})

/** The process is killed while two others look for interrupted runs. */
export const race: Scene = Effect.fn("Scenes.race")(function*(title) {
  Screen.scene("3. Two processes race for the run of a third one that is killed")
  const stage = yield* Stage.make(title)
  const victim = yield* stage.start({ CODER_STALL_AT: "6" })
  const runId = yield* stage.begun
  const racers = yield* Effect.all([stage.recover(runId), stage.recover(runId)])
  const awaited = new Set(["5", ...racers.map(({ pid }) => `ready ${pid}`)])
  yield* stage.until("two processes are ready", (line) => {
    if (line.event === "ready") awaited.delete(`ready ${line.pid}`)
    if (line.event === "saved") awaited.delete(String(line.iteration))
    return awaited.size === 0 ? line : undefined
  })
  const isKilled = yield* stage.kill(victim)
  const kept = yield* showCheckpoint(runId)
  const { isComplete } = yield* stage.finished(runId, ...racers)
  const lines = yield* stage.lines
  const pruned = yield* isPruned
  const claims = Measure.claims(lines)
  const resumed = isKilled && Measure.isContinued(lines) && isComplete
  Screen.verdict(`processes that continued the run: ${claims}`, claims === 1 && resumed)
  return { resumed, pruned: kept.isVisible && pruned, repeated: Measure.repeated(lines), claims }
})
