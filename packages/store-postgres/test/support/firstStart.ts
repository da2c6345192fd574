/** A process that starts on one fresh schema after the other, each when it is told to: see `processes.test.ts`. */
import { AgentName, RunId } from "@everbeat/core"
import { PostgresStore } from "@everbeat/store-postgres"
import { Duration, Effect } from "effect"
import { Pool } from "pg"

const pool = new Pool({ connectionString: process.argv[2] ?? "", max: 1 })

const agentName = AgentName.make(`process-${process.pid}`)

const start = (schema: string) =>
  Effect.gen(function*() {
    const { checkpoints } = yield* PostgresStore.make(pool, { schema, prepare: process.argv[3] !== "unprepared" })
    const answer = yield* checkpoints.begin({
      owner: agentName,
      ttl: Duration.minutes(1),
      maxAttempts: 1,
      exclusive: true,
      resumes: "same-name",
      meta: { runId: RunId.make(agentName), kind: "heartbeat", agentName, definition: { name: "first", hash: "1" } }
    })
    return answer._tag
  }).pipe(Effect.scoped)

process.on("message", (schema: string) => {
  void Effect.runPromise(start(schema)).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.(String(error))
  )
})

process.on("disconnect", () => void pool.end())

await pool.query("select 1") // from now on nothing but the start itself takes time
process.send?.("ready")
