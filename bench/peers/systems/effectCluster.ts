/**
 * Effect's ClusterWorkflowEngine on one runner. The runner's own state is in SQL, as a fleet needs it; the variant
 * `memory` keeps it in the process, where no other process can take over.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, ManagedRuntime, Redacted, Schema } from "effect"
import { ClusterWorkflowEngine, SingleRunner } from "effect/cluster"
import * as Digest from "effect/crypto/Digest"
import { Activity, Workflow } from "effect/workflow"
import { randomUUID } from "node:crypto"
import type { Open } from "./system.ts"

const Five = Workflow.make("Five", {
  payload: { id: Schema.String, from: Schema.Int },
  idempotencyKey: ({ id }) => id,
  success: Schema.Int
})

const steps = Five.toLayer(Effect.fnUntraced(function*({ from }) {
  let sum = from
  for (let step = 0; step < 5; step++) {
    sum = yield* Activity.make({ name: `step-${step}`, success: Schema.Int, execute: Effect.succeed(sum + 1) })
  }
  return sum
}))

export const open: Open = async ({ url, variant }) => {
  const layer = steps.pipe(
    Layer.provideMerge(ClusterWorkflowEngine.layer),
    Layer.provideMerge(SingleRunner.layer({
      runnerStorage: variant === "memory" ? "memory" : "sql",
      // On by default, and of no use where there is one runner.
      shardingConfig: { simulateRemoteSerialization: false }
    })),
    Layer.provide([PgClient.layer({ url: Redacted.make(url), maxConnections: 20 }), Digest.layerWebCrypto])
  )
  const runtime = ManagedRuntime.make(layer)
  await runtime.runPromise(Effect.void)
  return {
    run: async (caller) => {
      const sum = await runtime.runPromise(Five.execute({ id: randomUUID(), from: caller }))
      if (sum !== caller + 5) throw new Error(`five steps came to ${sum}`)
    },
    close: () => runtime.dispose()
  }
}
