/**
 * A process that saves the progress of a run, to be killed meanwhile: an old state that is durable, and on a line of
 * its input a new one. `node victim.ts postgres <url> <schema> [turns]`, or `redis <url> <prefix> [turns]`; with
 * turns, it kills itself so many turns after it began to save the new state.
 */
import { AgentName, Checkpointer } from "@everbeat/core"
import { PostgresStore } from "@everbeat/store-postgres"
import { RedisStore } from "@everbeat/store-redis"
import { Effect } from "effect"
import { once } from "node:events"
import { setImmediate } from "node:timers/promises"

const [store, url = "", space = "", turns] = process.argv.slice(2)

const layer = store === "postgres"
  ? PostgresStore.layer({ url, schema: space, migrate: "off" })
  : RedisStore.layer({ url, prefix: space })

/** One line at a time for who reads. */
const say = (line: string) => Effect.sync(() => process.stdout.write(`${line}\n`))

const dieLater = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) {
    // Turns of both kinds: what waits for a promise, and what waits for the loop.
    await (turn % 4 === 3 ? setImmediate() : Promise.resolve()) // oxlint-disable-line eslint/no-await-in-loop -- in turn
  }
  process.kill(process.pid, "SIGKILL")
}

const program = Effect.gen(function*() {
  const meta = { agentName: AgentName.make("victim") }
  const checkpointer = yield* Checkpointer.make({ meta, maxAttempts: 10 })
  const old = Array.from({ length: 4 }, (_, n) => ({ content: `old ${n}` }))
  yield* checkpointer.save({ messages: old, iteration: 1, phase: "old", completedPhases: ["old"], notes: "old" })
  yield* checkpointer.flush
  yield* say(checkpointer.runId)
  yield* Effect.promise(() => once(process.stdin, "data"))
  if (turns !== undefined) void dieLater(Number(turns))
  // Edits and growth at once: summary, one of the old, and new ones of 4 kB.
  const fresh = Array.from({ length: 3 }, (_, n) => ({ content: `new ${n} ${"x".repeat(4096)}` }))
  yield* checkpointer.save({
    messages: [{ content: "summary" }, ...old.slice(3), ...fresh],
    iteration: 2,
    phase: "new",
    completedPhases: ["old", "new"],
    notes: "new"
  })
  yield* checkpointer.flush
  yield* say("saved")
  yield* Effect.never
})

await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(layer)))
