/** Everbeat: a heartbeat of five steps, each durable before the next one starts; `coalesce` is the default, `recovering` continues what others left. */
import { AgentSupervisor, Heartbeat, HeartbeatEngine, Recovery, Step } from "@everbeat/core"
import { PostgresStore } from "@everbeat/store-postgres"
import { Effect, Layer, ManagedRuntime, Schema } from "effect"
import type { Open } from "./system.ts"

export const open: Open = async ({ url, variant }) => {
  const steps = Array.from(
    { length: 5 },
    (_, index) => Step.make(`step-${index}`, { result: Schema.Int }, () => Effect.succeed(index + 1))
  )
  const beat = Heartbeat.make("five", steps, { durability: variant === "coalesce" ? "coalesce" : "sync" })
  const recovery = variant === "recovering" ? Recovery.layer({ heartbeats: [beat] }) : Layer.empty
  const layer = recovery.pipe(
    Layer.provideMerge(HeartbeatEngine.layer),
    Layer.provide(AgentSupervisor.layer),
    Layer.provide(PostgresStore.layer({ url }))
  )
  const runtime = ManagedRuntime.make(layer)
  await runtime.runPromise(Effect.void)
  return {
    run: async (caller) => {
      const report = await runtime.runPromise(Heartbeat.run(beat, { agent: `agent-${caller}` }))
      if (report.status !== "ok") throw new Error(`a pass ended with ${report.status}`)
    },
    close: () => runtime.dispose()
  }
}
