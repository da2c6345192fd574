/** One process of the host: it starts the release, or goes on with it. */
import { AgentBusyError, type AgentHandle, createEverbeat } from "@everbeat/core/promise"
import { postgresStore } from "@everbeat/store-postgres/promise"
import { setTimeout } from "node:timers/promises"
import { releaser } from "./Releaser.ts"

await using everbeat = createEverbeat({
  store: postgresStore({
    connectionString: process.env["EVERBEAT_STORE"],
    schema: process.env["EVERBEAT_SCHEMA"],
    maxConnections: 2
  }),
  agents: [releaser],
  // Short, so that nobody has to wait after a kill. Keep the default of 30 seconds in a service.
  leaseTtl: "1 second",
  recovery: { pollInterval: "100 millis", maxPollInterval: "200 millis" }
})

/** The run of this key, whoever began it: while the process that was killed still has its lease, it is busy. */
const start = async (): Promise<AgentHandle<string>> => {
  try {
    return await everbeat.agent.start(releaser, { key: "1.2.0", prompt: "Release version 1.2.0." })
  } catch (error) {
    if (!(error instanceof AgentBusyError)) throw error
    await setTimeout(200)
    return start()
  }
}
const handle = await start()
const { attempts, result, status } = await handle.record()
console.log(JSON.stringify({ status, result, attempts: attempts.length }))
