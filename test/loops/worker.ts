/** What the process of a worker does: runs the agent until it has ended, whoever began it. */
import { Agent, AgentSupervisor } from "@everbeat/core"
import { PostgresStore } from "@everbeat/store-postgres"
import { Effect, Layer, Schedule } from "effect"
import { appendFileSync, readFileSync } from "node:fs"
import type { Make } from "./processes.ts"
import { World } from "./world.ts"

/** Arguments of the process: the server, the schema, the journal, and the tool that never answers. */
export const work = (make: Make): Promise<void> => {
  const [url = "", schema = "", journal = "", stuck] = process.argv.slice(2)
  const world = new World(
    { after: (name) => name === stuck ? Effect.never : Effect.void },
    {
      add: (name) => appendFileSync(journal, `${name}\n`),
      all: () => readFileSync(journal, "utf8").split("\n").filter((line) => line !== "")
    }
  )
  const store = PostgresStore.layer({ url, schema })
  const live = Layer.provideMerge(AgentSupervisor.layerWith({ leaseTtl: "2 seconds" }), store)
  const program = Effect.gen(function*() {
    // The one that was killed is the owner until its lease has expired.
    const handle = yield* Effect.retry(Agent.start(make(world), { key: "k", prompt: "Comment, label and close." }), {
      while: (error) => error._tag === "AgentBusy",
      schedule: Schedule.spaced("200 millis")
    })
    const run = yield* handle.record
    const told = world.told.flat().some((text) => text.includes("outcome unknown"))
    const attempts = run.attempts.length
    process.stdout.write(
      `${run.status} ${JSON.stringify(run.result)} ${attempts} attempts, told of an open call: ${told}\n`
    )
  })
  return Effect.runPromise(Effect.provide(program, live))
}
