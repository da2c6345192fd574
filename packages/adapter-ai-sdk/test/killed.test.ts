import { assert, describe, it } from "@effect/vitest"
import { Agent, AgentSupervisor, CheckpointStore, type RunStore } from "@everbeat/core"
import { createEverbeat, storeFromLayer } from "@everbeat/core/promise"
import { Crash } from "@everbeat/core/testing"
import { MemoryStore } from "@everbeat/store-memory"
import { PostgresStore } from "@everbeat/store-postgres"
import { Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import { inject } from "vitest"
import { drivers, effectReleaser, promiseReleaser, World } from "./support.ts"

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

type Kind = keyof typeof processes
type Stores = CheckpointStore.CheckpointStore | RunStore.RunStore
type Given = Parameters<typeof effectReleaser>
interface Options {
  readonly key: string
  readonly prompt: string
}

interface Ended {
  readonly status: string
  readonly result: unknown
  readonly errors: ReadonlyArray<unknown>
}

/** Starts the agent, or goes on with it, in a process of its own on the stores of the context. */
const processes: Record<
  "an Effect agent" | "a Promise agent",
  (given: Given, options: Options, isDoomed: boolean) => Effect.Effect<Ended, unknown, Stores>
> = {
  "an Effect agent": (given, options, isDoomed) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const supervisor = yield* Layer.buildWithScope(Layer.fresh(AgentSupervisor.layer), scope)
      const handle = yield* Effect.provideContext(Agent.start(effectReleaser(...given), options), supervisor)
      const { errors, result, status } = yield* handle.record
      // A process that is killed tidies nothing up.
      if (!isDoomed) yield* Scope.close(scope, Exit.void)
      return { errors, result, status }
    }),
  "a Promise agent": (given, options, isDoomed) =>
    Effect.flatMap(Effect.context<Stores>(), (stores) =>
      Effect.promise(async () => {
        const agents = [promiseReleaser(...given)] as const
        const store = storeFromLayer(Layer.succeedContext(stores))
        const everbeat = createEverbeat({ store, agents, recovery: false })
        const handle = await everbeat.agent.start(agents[0], options)
        const { errors, result, status } = await handle.record()
        if (!isDoomed) await everbeat.dispose()
        return { errors, result, status }
      }))
}

/** Runs the agent in a process that is killed at its n-th write, and goes on with another one. */
const killedAt = Effect.fnUntraced(function*(kind: Kind, driver: string, n: number, point: Crash.CrashPoint) {
  const drive = drivers[driver] ?? assert.fail()
  const world = new World()
  const key = `${kind.replaceAll(" ", "-")}-${driver}-${point}-${n}`
  const crash = yield* Crash.crashAfterWrite(n, point)
  const alive = () => Effect.runPromise(crash.alive)
  const start = processes[kind]
  const options = { key, prompt: "Release it." }
  const first = Effect.provideContext(start([drive, world, alive], options, true), crash.context)
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
  const run = yield* start([drive, world, () => Promise.resolve()], options, false)
  assert.deepStrictEqual((yield* store.listInterrupted(open)).items, [], "nothing is left in flight")
  return { crashed, world, run, stored, begun, second: world.asked.slice(before), writes: crash.writes() }
})

const everyWrite = Effect.fnUntraced(function*(kind: Kind, driver: string, point: Crash.CrashPoint) {
  const undisturbed = yield* killedAt(kind, driver, Infinity, point)
  assert.deepStrictEqual(undisturbed.world.asked, turns)
  assert.deepStrictEqual([undisturbed.run.status, undisturbed.run.result], ["ok", "done"])
  let n = 1
  for (; n < 100; n++) {
    const { begun, crashed, run, second, stored, world } = yield* killedAt(kind, driver, n, point)
    if (!crashed) break
    const at = `${driver}, ${point} ${n}`
    assert.deepStrictEqual(world.applied.toSorted(), ["close", "comment", "publish"], `each mutation once, ${at}`)
    assert.strictEqual(world.applied.at(-1), "publish", at)
    assert.deepStrictEqual([run.status, run.result, run.errors], ["ok", "done", []], at)
    // Whoever does not know whether a call took effect has to look, and perhaps to call again.
    const unsure = new Set(begun.length > 0 ? ["inspect", ...begun] : [])
    const repeated = stored.filter((turn) => second.includes(turn) && !turn.split("+").some((name) => unsure.has(name)))
    assert.deepStrictEqual(repeated, [], `no stored answer is asked for again, ${at}`)
  }
  assert.isAtLeast(n, 8, "the run makes that many writes")
})

const kinds = ["an Effect agent", "a Promise agent"] as const

for (const kind of kinds) {
  describe.each(Object.keys(drivers))(`${kind} with %s in a process that is killed at any of its writes`, (driver) => {
    for (const point of points) {
      it.live(`(${point}) mutates once, in memory`, () =>
        Effect.provide(everyWrite(kind, driver, point), Layer.fresh(MemoryStore.layer)))

      it.live(`(${point}) mutates once, on PostgreSQL`, () => {
        const schema = `${kind}_${driver}_${point}`.toLowerCase().replaceAll(" ", "_")
        return Effect.provide(
          everyWrite(kind, driver, point),
          PostgresStore.layer({ url: inject("postgresUrl"), schema })
        )
      }, 120_000)
    }
  })
}
