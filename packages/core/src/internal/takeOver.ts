import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type { CheckpointUnreadable } from "../PassError.ts"
import type { RunCheckpoint } from "../RunCheckpoint.ts"
import type { Definition } from "./definition.ts"
import { decodeAll } from "./outcome.ts"
import type { Restored } from "./passRunner.ts"

/** What a pass takes over of its checkpoint, as the policy of its heartbeat says. */
export const takeOver = Effect.fnUntraced(function*(
  definition: Definition,
  checkpoint: RunCheckpoint,
  exhausted: boolean
): Effect.fn.Return<Restored, CheckpointUnreadable> {
  const all = yield* decodeAll(checkpoint)
  // A restart begins again once: what the same list recorded since then stays.
  const outcomes = definition.onDefinitionChange === "restart" && !exhausted
    ? new Map([...all].filter(([, { list }]) => list === definition.hash))
    : all
  const results = new Map<string, unknown>()
  for (const { codec, name } of definition.steps) {
    const text = outcomes.get(name)?.result
    if (codec === undefined || text === undefined) continue
    // A schema may need to wait; one that refuses what was recorded makes the step run again.
    const result = yield* Effect.exit(Schema.decodeUnknownEffect(codec)(JSON.parse(text)))
    if (Exit.isSuccess(result)) results.set(name, result.value)
  }
  return { outcomes, results }
})
