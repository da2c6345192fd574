/** The smallest host: heartbeats on the memory store, over HTTP. It is what gets bundled into one file. */
import { Heartbeat, HeartbeatEngine, Step } from "@everbeat/core"
import { AgentAuth, HeartbeatHandler } from "@everbeat/http"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Layer, Schema } from "effect"

const count = Step.make("count", { result: Schema.Int }, () => Effect.succeed(3))
const double = Step.make("double", { after: { count }, result: Schema.Int }, ({ count }) => Effect.succeed(count * 2))

const handler = HeartbeatHandler.make({
  heartbeats: { triage: Heartbeat.make("dispatch", [count, double]) },
  auth: AgentAuth.make(() => Effect.succeed({ agentName: "triage", tokenId: "triage-1" })),
  layer: HeartbeatEngine.layer.pipe(Layer.provideMerge(MemoryStore.layer))
})
const response = await handler.fetch(
  new Request("http://localhost/api/agents/triage/heartbeat", {
    method: "POST",
    headers: { authorization: "Bearer secret" }
  })
)
await handler.dispose()
const body: unknown = await response.json()
if (response.status !== 200 || response.headers.get("everbeat-status") !== "ok") {
  throw new Error(`the heartbeat answered ${response.status}: ${JSON.stringify(body)}`)
}

console.log("the host answered ok")
