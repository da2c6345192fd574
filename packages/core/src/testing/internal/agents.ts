/** Agents that keep their progress with a checkpointer, and what is left of them. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Json } from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Checkpointer from "../../Checkpointer.ts"
import { CheckpointStore } from "../../CheckpointStore.ts"
import type { MessageCodec } from "../../MessageCodec.ts"
import type { RunId } from "../../RunId.ts"
import * as Fixtures from "./fixtures.ts"

/** Long enough for a hundred thousand rows on a busy machine. */
export const patient = { leaseTtl: "1 hour", storeTimeout: "1 minute" } as const

/** A checkpointer of a fresh run, whose progress is of JSON unless a codec says otherwise. */
export const agent = Effect.fnUntraced(function*(options: Partial<Checkpointer.MakeOptions> = {}) {
  const agentName = yield* Fixtures.freshAgent
  return yield* Checkpointer.make({ ...patient, ...options, meta: { agentName, ...options.meta } })
})

export const codedAgent = Effect.fnUntraced(function*<M>(codec: MessageCodec<M>, options: Checkpointer.Options = {}) {
  const agentName = yield* Fixtures.freshAgent
  return yield* Checkpointer.make({ ...patient, ...options, meta: { agentName }, codec })
})

/** A process: it ends when it is asked to, and leaves its runs to others. */
export const process = Effect.map(Scope.make(), (scope) => ({
  run: <A, E>(effect: Effect.Effect<A, E, Scope.Scope | CheckpointStore>) => Scope.provide(effect, scope),
  end: Scope.close(scope, Exit.void)
}))

/** What the store has, and what it says of it, as bodies of the codec's texts. */
export const stored = Effect.fnUntraced(function*(runId: RunId) {
  const store = yield* CheckpointStore
  const checkpoint = yield* store.load(runId)
  const values = checkpoint.messages.map((text): unknown => JSON.parse(text.slice(text.indexOf(":") + 1)))
  return { checkpoint, values }
})

export const user = (content: Json) => ({ role: "user", content })
