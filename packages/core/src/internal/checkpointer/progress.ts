/** The state of a run as the saver holds it, with what is known of its encoding. */
import * as Effect from "effect/Effect"
import type { State, Update } from "../../Checkpointer.ts"
import type { Delta } from "../../CheckpointStore.ts"
import { type MessageTooLarge, Unencodable } from "../../MessageCodec.ts"
import type { RunCheckpoint } from "../../RunCheckpoint.ts"
import type { StoreError } from "../../StoreError.ts"
import type { History, Known } from "./history.ts"
import type { Packed, Packing } from "./packing.ts"

interface Text {
  readonly value: string
  readonly packed: Packed | undefined
}

export interface Progress<M> {
  readonly known: Known<M>
  readonly iteration: number
  readonly phase: string
  readonly completedPhases: ReadonlyArray<string>
  readonly notes: Text
  readonly workspace: Text
}

const blank: Text = { value: "", packed: undefined }

export const empty: Progress<never> = {
  known: { messages: [], entries: [] },
  iteration: 0,
  phase: "",
  completedPhases: [],
  notes: blank,
  workspace: blank
}

export const stateOf = <M>(progress: Progress<M>): State<M> => ({
  messages: [...progress.known.messages], // the caller may do with it what it likes
  iteration: progress.iteration,
  phase: progress.phase,
  completedPhases: progress.completedPhases,
  notes: progress.notes.value,
  workspace: progress.workspace.value
})

export const restore = Effect.fnUntraced(function*<M>(
  history: History<M>,
  packing: Packing<M>,
  checkpoint: RunCheckpoint
) {
  const text = (stored: string | undefined, place: string) =>
    stored === undefined
      ? Effect.succeed(blank)
      : Effect.map(packing.openText(stored, place), (value): Text => ({ value, packed: undefined }))
  return {
    known: yield* history.restore(checkpoint),
    iteration: checkpoint.iteration,
    phase: checkpoint.phase,
    completedPhases: checkpoint.completedPhases,
    notes: yield* text(checkpoint.notes, "notes"),
    workspace: yield* text(checkpoint.workspace, "workspace")
  } satisfies Progress<M>
})

/** Takes an update in. What it leaves out stays as it was. */
export const advance = Effect.fnUntraced(function*<M>(
  history: History<M>,
  packing: Packing<M>,
  before: Progress<M>,
  update: Update<M>
): Effect.fn.Return<Progress<M>, Unencodable | MessageTooLarge> {
  const text = (old: Text, value: string | undefined, name: string) =>
    value === undefined || value === old.value
      ? Effect.succeed(old)
      : Effect.map(packing.packText(value, name), (packed): Text => ({ value, packed }))
  // A database would refuse it with every save from now on.
  if (update.iteration !== undefined && !Number.isSafeInteger(update.iteration)) {
    return yield* new Unencodable({ path: "iteration", detail: `${update.iteration} is not a whole number` })
  }
  return {
    known: update.messages === undefined ? before.known : yield* history.know(before.known, update.messages),
    iteration: update.iteration ?? before.iteration,
    phase: update.phase ?? before.phase,
    completedPhases: update.completedPhases === undefined ? before.completedPhases : [...update.completedPhases],
    notes: yield* text(before.notes, update.notes, "notes"),
    workspace: yield* text(before.workspace, update.workspace, "workspace")
  }
})

type Head = Pick<Delta, "iteration" | "phase" | "completedPhases" | "notes" | "workspace">

/** The fields that differ from what is stored; all of them when that is not known. */
export const headOf = Effect.fnUntraced(function*<M>(
  packing: Packing<M>,
  next: Progress<M>,
  stored: Progress<M> | undefined
): Effect.fn.Return<Head, MessageTooLarge | StoreError> {
  const text = function*(name: "notes" | "workspace") {
    const { packed, value } = next[name]
    if (value === stored?.[name].value) return undefined
    return yield* packing.seal(packed ?? (yield* packing.packText(value, name)), name)
  }
  const notes = yield* text("notes")
  const workspace = yield* text("workspace")
  return {
    ...(next.iteration === stored?.iteration ? undefined : { iteration: next.iteration }),
    ...(next.phase === stored?.phase ? undefined : { phase: next.phase }),
    ...(sameTexts(next.completedPhases, stored?.completedPhases)
      ? undefined
      : { completedPhases: next.completedPhases }),
    ...(notes === undefined ? undefined : { notes }),
    ...(workspace === undefined ? undefined : { workspace })
  }
})

const sameTexts = (a: ReadonlyArray<string>, b: ReadonlyArray<string> | undefined): boolean =>
  a === b || (a.length === b?.length && a.every((text, index) => text === b[index]))
