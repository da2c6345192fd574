/** One runner: who comes after it is the same runner, started again. */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, ManagedRuntime, Redacted, Schema } from "effect"
import { ClusterWorkflowEngine, SingleRunner } from "effect/cluster"
import * as Digest from "effect/crypto/Digest"
import { Activity, Workflow } from "effect/workflow"
import type { Start } from "./survivor.ts"

export const start: Start = async ({ role, second, url }) => {
  const Two = Workflow.make("Two", { payload: { id: Schema.String }, idempotencyKey: ({ id }) => id })
  const steps = Two.toLayer(Effect.fnUntraced(function*() {
    yield* Activity.make({ name: "first", execute: Effect.void })
    yield* Activity.make({ name: "second", execute: Effect.promise(second) })
  }))
  const layer = steps.pipe(
    Layer.provideMerge(ClusterWorkflowEngine.layer),
    Layer.provideMerge(SingleRunner.layer()),
    Layer.provide([PgClient.layer({ url: Redacted.make(url), maxConnections: 20 }), Digest.layerWebCrypto])
  )
  const runtime = ManagedRuntime.make(layer)
  await runtime.runPromise(Effect.void)
  if (role === "first") void runtime.runPromise(Two.execute({ id: "survivor" })).catch(() => {})
  return () => runtime.dispose()
}
