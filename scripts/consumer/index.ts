import { EffectAi } from "@everbeat/adapter-effect-ai"
import { Heartbeat, HeartbeatEngine, RunStore, Step, Workspace } from "@everbeat/core"
import { createEverbeat, heartbeat, InvalidOptions } from "@everbeat/core/promise"
import * as CoreStep from "@everbeat/core/Step"
import { AgentAuth, HeartbeatHandler } from "@everbeat/http"
import { createHandler } from "@everbeat/http/promise"
import { MemoryStore } from "@everbeat/store-memory"
import { memoryStore } from "@everbeat/store-memory/promise"
import { GitWorkspace } from "@everbeat/workspace-git"
import { gitWorkspace } from "@everbeat/workspace-git/promise"
import { Effect, Layer, Schema } from "effect"

class Unowned extends Schema.TaggedError<Unowned>()("Unowned", { count: Schema.Int }) {}

const count = Step.make("count", { result: Schema.Int }, () =>
  Effect.gen(function*() {
    yield* Step.touch("https://example.com/issues/1")
    yield* Step.warn(new Unowned({ count: 2 }))
    return 3
  }))
const double = CoreStep.make(
  "double",
  { after: { count }, result: Schema.Int },
  ({ count }) => Effect.succeed(count * 2)
)
const dispatch = Heartbeat.make("dispatch", [count, double])

const layer = HeartbeatEngine.layer.pipe(Layer.provideMerge(MemoryStore.layer))

// Each adapter brings the loop of its framework. The declarations of the Agents SDK are not clean without `skipLibCheck`:
// that adapter is only run.
const openAIAgents: string = "@everbeat/adapter-openai-agents"
const { OpenAIAgents } = await import(openAIAgents)
const loops: ReadonlyArray<unknown> = [EffectAi.loop, OpenAIAgents.loop]
if (!loops.every((loop) => typeof loop === "function")) throw new Error("an adapter has no loop")

const program = Effect.gen(function*() {
  const report = yield* Heartbeat.run(dispatch, { agent: "triage", key: "1" })
  const replayed = yield* Heartbeat.run(dispatch, { agent: "triage", key: "1" })
  const run = yield* Effect.flatMap(RunStore.RunStore, (runs) => runs.get(report.runId))
  return { report, replayed, run }
}).pipe(Effect.provide(layer))

const { replayed, report, run } = await Effect.runPromise(program)

// The channels are in the types: a code that no step can raise does not compile.
const unowned = report.warnings.filter((warning) => warning.code === "Unowned").map(({ value }) => value?.count)
const wrong: Array<string> = []
if (report.status !== "warning" || unowned[0] !== 2) wrong.push("the report")
if (report.touchedIssueUrls[0] !== "https://example.com/issues/1") wrong.push("the touched issues")
if (replayed.origin !== "replayed" || replayed.runId !== report.runId) wrong.push("the replay")
if (run.status !== "warning") wrong.push("the record")

// A workspace starts git, and says in its types what can go wrong.
const snapshots = Effect.flatMap(Workspace.Workspace, (workspace) => workspace.list()).pipe(
  Effect.catchTag("NotARepository", () => Effect.succeed([])),
  Effect.provide(GitWorkspace.layerWith({ cwd: "/" }))
)
if ((await Effect.runPromise(snapshots)).length !== 0) wrong.push("the snapshots")

const handler = HeartbeatHandler.make({
  heartbeats: { triage: dispatch },
  auth: AgentAuth.make(() => Effect.succeed({ agentName: "triage", tokenId: "triage-1" })),
  layer
})
const response = await handler.fetch(
  new Request("http://localhost/api/agents/triage/heartbeat", {
    method: "POST",
    headers: { authorization: "Bearer secret" }
  })
)
await handler.dispose()
if (response.status !== 200 || response.headers.get("everbeat-status") !== "warning") wrong.push("the response")

// The same without Effect.
const everbeat = createEverbeat({
  store: memoryStore(),
  workspace: gitWorkspace({ cwd: "/" }),
  heartbeats: {
    triage: heartbeat("plain", { warnings: ["unowned"] })
      .step("count", async () => 3)
      .step("double", ({ results, warn }) => {
        warn("unowned", "2 issues have no owner.")
        return results.count * 2
      })
  }
})
const plain = await everbeat.run("triage")
const codes: ReadonlyArray<string> = plain.warnings.map((warning) => warning.code === "unowned" ? "typed" : "other")
if (plain.status !== "warning" || codes[0] !== "typed") wrong.push("the plain report")
const served = await createHandler(everbeat, { auth: () => ({ agentName: "triage", tokenId: "triage-1" }) }).fetch(
  new Request("http://localhost/api/agents/triage/heartbeat", {
    method: "POST",
    headers: { authorization: "Bearer secret" }
  })
)
if (served.status !== 200) wrong.push("the plain response")
await everbeat.dispose()
try {
  heartbeat({ deadline: -1 })
  wrong.push("the check of options")
} catch (error) {
  if (!(error instanceof InvalidOptions)) throw error
}

if (wrong.length > 0) throw new Error(`wrong: ${wrong.join(", ")}: ${JSON.stringify({ report, replayed, run })}`)

console.log(report.summary)
