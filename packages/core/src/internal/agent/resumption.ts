/** What an attempt takes over from the one before. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Resumption } from "../../AgentContext.ts"
import type { Granted } from "../../Checkpointer.ts"
import type { Resumed } from "../../CheckpointStore.ts"
import * as Continuation from "../../Continuation.ts"
import { repair } from "../../Transcript.ts"
import type { Restored, WorkspaceDiff } from "../../Workspace.ts"
import type { WorkspaceError } from "../../WorkspaceError.ts"
import type { Kept } from "../../WorkspaceSnapshot.ts"
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
  { checkpointer, files, kept, progress }: Opened<M>
): Effect.fn.Return<Resumption<M>, WorkspaceError> {
  const { ledger } = progress
  const state = checkpointer.resumed ?? nothing
  const { completedPhases, iteration, phase } = state
  const restored = files === undefined || kept === undefined ? undefined : yield* files.restore(kept)
  const diff = files === undefined || kept === undefined
    ? undefined
    : yield* files.diff(kept.snapshot, definition.continuation?.patchBytes ?? defaultPatchBytes)
  const adapter = definition.transcript
  const fit = adapter === undefined
    ? undefined
    : repair(adapter, state.messages, Ledger.callsOf(ledger, state.messages.flatMap((_) => adapter.calls(_))))
  const messages = fit?.messages ?? state.messages
  const repaired = fit?.repaired ?? []
  const before = checkpoint.attempts.at(-2)
  const reason = before?.reason ?? before?.end ?? "expired"
  const input: Continuation.Input<M> = {
    prompt: meta.prompt ?? "",
    attempt: checkpoint.attempts.length,
    maxAttempts: Math.max(definition.maxAttempts, checkpoint.attempts.length),
    previous: { reason, endedAt: before?.endedAt },
    iteration,
    phase,
    completedPhases,
    notes: ledger.notes,
    workspace: restored === undefined || kept === undefined ? undefined : factsOf(restored, kept, diff),
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

const factsOf = (
  restored: Restored,
  { snapshot }: Kept,
  diff: WorkspaceDiff | undefined
): Continuation.Workspace => {
  const { entries, files } = diff?.summary ?? snapshot.summary
  const patch = diff?.patch
  return {
    path: restored.cwd,
    branch: restored.branch,
    base: restored.base,
    commit: snapshot.commit,
    restored: restored.inPlace ? "in-place" : "fresh",
    exact: restored.complete,
    entries,
    files,
    patch: patch?.truncated === true ? undefined : patch?.text,
    skipped: snapshot.skipped
  }
}
