import { AgentClient } from "@everbeat/http"
import { createToken } from "@everbeat/http/promise"
import { createDispatch, type Dispatch } from "./Dispatch.ts"
import type { Running } from "./Running.ts"
import { someIssues, Tracker } from "./Tracker.ts"

/** Plays an agent against a host, and says what happens. */
export const play = async (
  serve: (dispatch: Dispatch, sha256: string) => Promise<Running>,
  say: (line: string) => void
): Promise<void> => {
  const tracker = new Tracker(someIssues)
  const dispatch = createDispatch(tracker, (line) => say(`  settled: ${line}`))
  const { sha256, token } = await createToken()
  const host = await serve(dispatch, sha256)
  const agent = AgentClient.make({ baseUrl: host.url, agentName: "triage", token })
  say(`${host.name}:`)

  const first = await agent.heartbeat({ idempotencyKey: "beat-1" })
  say(`  ${first.status}: ${first.warnings.join("; ")}`)
  say(`  touched ${first.touchedIssueUrls.join(" ")}`)
  const again = await agent.heartbeat({ idempotencyKey: "beat-1" })
  say(`  the same key is answered with ${again.runId === first.runId ? "the same run" : "another run"}`)

  tracker.isDown = true
  const failed = await agent.heartbeat()
  say(`  ${failed.status}: ${failed.errors.join("; ")}`)

  const own = await fetch(`${host.url}/runs`)
  say(`  the host's own page says ${JSON.stringify(await own.json())}`)
  await host.stop()
  const late = await dispatch.run("triage").catch((error: unknown) => error)
  say(`  after it stopped: ${late instanceof Error ? late.message : "it still runs"}`)
}
