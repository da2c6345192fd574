import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentSupervisor, CheckpointStore } from "@everbeat/core"
import { Crash } from "@everbeat/core/testing"
import { MemoryStore } from "@everbeat/store-memory"
import { PostgresStore } from "@everbeat/store-postgres"
import { Effect, Fiber, Layer, Schema, Scope } from "effect"
import { inject } from "vitest"
import { drivers, releaser, World } from "./support.ts"

const points = ["unsent", "unanswered", "answered"] as const
const turns = ["inspect", "comment+close", "publish", "done"]

/** The answers of the model that the store holds, by what was decided. */
const storedTurns = (messages: ReadonlyArray<string>): ReadonlyArray<string> =>
  messages.flatMap((row) => {
    const message = bodyOf(row)
    if (typeof message !== "object" || message === null || Reflect.get(message, "role") !== "assistant") return []
    const names = row.match(/"toolName":"\w+"/g)?.map((name) => name.slice(12, -1)) ?? []
    return [names.join("+") || "done"]
  })

/** The body of a stored text, behind its header. */
const bodyOf = (text: string): unknown => JSON.parse(text.slice(text.indexOf(":") + 1))

const StoredNotes = Schema.fromJsonString(
  Schema.Struct({ calls: Schema.Array(Schema.Struct({ name: Schema.String, status: Schema.String })) })
)

/** The calls that are stored as begun, without an end. */
const openCalls = (notes = ""): ReadonlyArray<string> => {
  if (notes === "") return []
  const { calls } = Schema.decodeUnknownSync(StoredNotes)(bodyOf(notes))
  return calls.filter(({ status }) => status === "started").map(({ name }) => name)
}

/** Runs the agent in a process that is killed at its n-th write, and goes on with another one. */
const killedAt = Effect.fnUntraced(function*(driver: string, n: number, point: Crash.CrashPoint) {
  const drive = drivers[driver] ?? assert.fail()
  const world = new World()
  const key = `${driver}-${point}-${n}`
  const crash = yield* Crash.crashAfterWrite(n, point)
  const alive = () => Effect.runPromise(crash.alive)
  const scope = yield* Scope.make() // never closed: a process that is killed tidies nothing up
  const doomed = yield* Layer.buildWithScope(Layer.fresh(AgentSupervisor.layer), scope).pipe(
    Effect.provideContext(crash.context)
  )
  const options = { key, prompt: "Release it." }
  const first = Agent.start(releaser(drive, world, alive), options).pipe(
    Effect.flatMap(({ record }) => record),
    Effect.provideContext(doomed)
  )
  const dying = yield* Effect.forkDetach(first) // nobody waits for the fibers of a dead process
  const crashed = yield* Effect.raceFirst(Effect.as(Fiber.join(dying), false), Effect.as(crash.crashed, true))
  const store = yield* CheckpointStore.CheckpointStore
  const open = { status: ["running", "interrupted", "exhausted"] } as const
  const { items } = yield* store.listInterrupted(open)
  const head = items.find((item) => item.attempts.length === 1)
  let stored: ReadonlyArray<string> = []
  let begun: ReadonlyArray<string> = []
  if (head !== undefined) {
    const { attempts, messages, notes } = yield* store.load(head.runId)
    stored = storedTurns(messages)
    begun = openCalls(notes)
    const { fence, owner } = attempts.at(-1) ?? assert.fail()
    yield* store.release({ runId: head.runId, owner, fence }) // as if the lease had expired
  }
  const before = world.asked.length
  const again = Agent.start(releaser(drive, world, () => Promise.resolve()), options).pipe(
    Effect.flatMap(({ record }) => record),
    Effect.provide(Layer.fresh(AgentSupervisor.layer))
  )
  const run = yield* again
  assert.deepStrictEqual((yield* store.listInterrupted(open)).items, [], "nothing is left in flight")
  return { crashed, world, run, stored, begun, second: world.asked.slice(before), writes: crash.writes() }
})

const everyWrite = Effect.fnUntraced(function*(driver: string, point: Crash.CrashPoint) {
  const undisturbed = yield* killedAt(driver, Infinity, point)
  assert.deepStrictEqual(undisturbed.world.asked, turns)
  assert.deepStrictEqual([undisturbed.run.status, undisturbed.run.result], ["ok", "done"])
  let n = 1
  for (; n < 100; n++) {
    const { begun, crashed, run, second, stored, world } = yield* killedAt(driver, n, point)
    if (!crashed) break
    const at = `${driver}, ${point} ${n}`
    assert.deepStrictEqual(world.applied.toSorted(), ["close", "comment", "publish"], `each mutation once, ${at}`)
    assert.strictEqual(world.applied.at(-1), "publish", at)
    assert.deepStrictEqual([run.status, run.result, run.errors], ["ok", "done", []], at)
    // Whoever does not know whether a call took effect has to look, and perhaps to call again.
    const unsure = new Set(begun.length > 0 ? ["inspect", ...begun] : [])
    const repeated = stored.filter((turn) =>
      second.includes(turn) && !turn.split("+").some((name) => unsure.has(name))
    )
    assert.deepStrictEqual(repeated, [], `no stored answer is asked for again, ${at}`)
  }
  assert.isAtLeast(n, 8, "the run makes that many writes")
})

describe.each(Object.keys(drivers))("%s in a process that is killed at any of its writes", (driver) => {
  for (const point of points) {
    it.live(`(${point}) mutates once, in memory`, () =>
      Effect.provide(everyWrite(driver, point), Layer.fresh(MemoryStore.layer)))

    it.live(`(${point}) mutates once, on PostgreSQL`, () =>
      everyWrite(driver, point).pipe(
        Effect.provide(PostgresStore.layer({
          url: inject("postgresUrl"),
          schema: `ai_${driver.toLowerCase()}_${point}`
        }))
      ), 120_000)
  }
})
