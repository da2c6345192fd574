/** What an attempt takes over from the one before. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Resumption } from "../../AgentContext.ts"
import type { Granted } from "../../Checkpointer.ts"
import type { Resumed } from "../../CheckpointStore.ts"
import * as Continuation from "../../Continuation.ts"
import { repair } from "../../Transcript.ts"
import type { Restored, WorkspaceDiff } from "../../Workspace.ts"
import type { WorkspaceError } from "../../WorkspaceError.ts"
import * as Ledger from "./ledger.ts"
import { nothing, type Opened } from "./open.ts"
import type { Task } from "./runtime.ts"
import { warningOf } from "./warning.ts"

/** As in `Continuation.Options`. */
const defaultPatchBytes = 16 * 1024

/** Puts the files back, closes open tool calls and composes what the agent is told. */
export const resumption = Effect.fnUntraced(function*<M, A, E, R>(
  { definition, followUp, meta, run }: Task<M, A, E, R>,
  { answer: { checkpoint } }: Granted<Resumed>,
  { attempt, checkpointer, files, kept, maxAttempts, progress }: Opened<M>
): Effect.fn.Return<Resumption<M>, WorkspaceError> {
  const { ledger } = progress
  const state = checkpointer.resumed ?? nothing
  const { completedPhases, iteration, phase } = state
  const before = checkpoint.attempts.at(-2)
  // An attempt that was killed could not keep what it had changed since its last snapshot. One that had saved nothing
  // yet may not even have reached its files: whatever is there now is somebody else's.
  const killed = before?.end === "expired" && DateTime.isGreaterThan(checkpoint.updatedAt, before.startedAt)
  const restored = files === undefined || kept === undefined
    ? undefined
    : yield* files.restore(kept, { newest: killed })
  const diff = files === undefined || restored === undefined
    ? undefined
    : yield* files.diff(restored.snapshot, definition.continuation?.patchBytes ?? defaultPatchBytes)
  const adapter = definition.transcript
  const fit = adapter === undefined
    ? undefined
    : repair(adapter, state.messages, Ledger.callsOf(ledger, state.messages.flatMap((_) => adapter.calls(_))))
  const messages = fit?.messages ?? state.messages
  const repaired = fit?.repaired ?? []
  const reason = before?.reason ?? before?.end ?? "expired"
  const input: Continuation.Input<M> = {
    prompt: meta.prompt ?? "",
    attempt,
    maxAttempts,
    previous: { reason, endedAt: before?.endedAt },
    iteration,
    phase,
    completedPhases,
    notes: ledger.notes,
    workspace: restored && factsOf(restored, killed, diff),
    conversation: adapter === undefined ? undefined : { adapter, messages, repaired },
    followUp
  }
  const composed = Continuation.compose(input, definition.continuation)
  if (Result.isFailure(composed)) {
    // Refused, because a conversation of that size makes the next timeout likelier: its end will do.
    run.remark(warningOf(composed.failure))
  }
  const shorter = () => Result.getOrThrow(Continuation.compose(input, { ...definition.continuation, policy: "tail" }))
  return {
    reason,
    endedAt: before?.endedAt,
    messages,
    repaired,
    calls: ledger.calls,
    iteration,
    phase,
    completedPhases,
    notes: ledger.notes,
    workspace: restored,
    continuation: Result.getOrElse(composed, shorter)
  }
})

const factsOf = (restored: Restored, killed: boolean, diff: WorkspaceDiff | undefined): Continuation.Workspace => {
  const { inPlace, preRestore, snapshot } = restored
  const { entries, files } = diff?.summary ?? snapshot.summary
  const patch = diff?.patch
  return {
    path: restored.cwd,
    branch: restored.branch,
    base: restored.base,
    commit: snapshot.commit,
    restored: inPlace ? "in-place" : "fresh",
    exact: restored.complete,
    // What a killed attempt changed after its last snapshot is there only where its worktree was found again.
    behind: killed && !inPlace && preRestore?.commit !== snapshot.commit,
    entries,
    files,
    patch: patch?.truncated === true ? undefined : patch?.text,
    skipped: snapshot.skipped
  }
}
