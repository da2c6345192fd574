import { AgentSupervisor, Heartbeat, HeartbeatEngine, Recovery, Step } from "@everbeat/core"
import { PostgresStore } from "@everbeat/store-postgres"
import { Duration, Effect, Layer, ManagedRuntime } from "effect"
import type { Start } from "./survivor.ts"

export const start: Start = async ({ leaseSeconds, role, second, url }) => {
  const steps = [
    Step.make("first", Effect.void),
    Step.make("second", Effect.promise(second)).pipe(Step.timeout("5 minutes"))
  ]
  const beat = Heartbeat.make("two", steps, { durability: "sync", deadline: "5 minutes" })
  const engine = HeartbeatEngine.layerWith({ leaseTtl: Duration.seconds(leaseSeconds) })
  const layer = (role === "heir" ? Recovery.layer({ heartbeats: [beat] }) : Layer.empty).pipe(
    Layer.provideMerge(engine),
    Layer.provide(AgentSupervisor.layer),
    Layer.provide(PostgresStore.layer({ url }))
  )
  const runtime = ManagedRuntime.make(layer)
  await runtime.runPromise(Effect.void)
  // Whoever is stopped meanwhile has no report.
  if (role === "first") void runtime.runPromise(Heartbeat.run(beat, { agent: "survivor" })).catch(() => {})
  return () => runtime.dispose()
}
