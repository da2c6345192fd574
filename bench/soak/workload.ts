/** What a process does all day: heartbeats, agents that end in every way there is, recovery, and pruning. */
import {
  Agent,
  AgentSupervisor,
  type CheckpointStore,
  Heartbeat,
  HeartbeatEngine,
  Recovery,
  RunStore,
  Step
} from "@everbeat/core"
import { Duration, Effect, Layer, MutableRef, Schema } from "effect"

/** How many of each have been done. */
export interface Done {
  readonly passes: number
  readonly runs: number
}

class Strange extends Schema.TaggedError<Strange>()("Strange", { issue: Schema.Int }) {}

const beat = Heartbeat.make("watch", [
  Step.make(
    "sync",
    { durability: "sync", result: Schema.Array(Schema.Int) },
    () => Effect.succeed(Array.from({ length: 20 }, (_, n) => n))
  ),
  Step.make("touch", Effect.forEach([1, 2, 3], (issue) => Step.touch(`https://example.com/issues/${issue}`))),
  Step.make("wonder", Step.warn(new Strange({ issue: 7 }))),
  Step.make("wait", Effect.sleep("1 millis"))
])

const text = "The flight of a customer was delayed and the agent looks up the reservation. ".repeat(12)

const turns = 5

/** How a run of an agent goes, by its number: most succeed, others need a second attempt, fail, or never end by themselves. */
const fates = ["well", "well", "retried", "well", "failed", "well", "cancelled", "well", "late", "well"] as const

type Fate = (typeof fates)[number]

const fateOf = (prompt: string | undefined): Fate => fates.find((fate) => fate === prompt) ?? "well"

const Message = Schema.Struct({ role: Schema.String, content: Schema.String })

const worker = Agent.make("worker", {
  message: Message,
  result: Schema.String,
  timeout: "2 seconds",
  backoff: () => 0,
  resumeOn: (error) => error === "again",
  run: (ctx) =>
    Effect.gen(function*() {
      const fate = fateOf(ctx.meta.prompt)
      const messages = [...(ctx.resume?.messages ?? [])]
      for (let turn = messages.length / 2; turn < turns; turn++) {
        messages.push({ role: "assistant", content: `${turn} ${text}` }, { role: "tool", content: `${turn} ${text}` })
        yield* ctx.checkpoint.save({ messages: [...messages], iteration: turn + 1, notes: `turn ${turn}` })
        yield* ctx.checkpoint.tool({ id: `call ${turn}`, name: "look up" }, Effect.sleep("2 millis"))
        if (turn < 2) continue
        if (fate === "failed") return yield* Effect.fail("broken")
        if (fate === "cancelled") return yield* Effect.never
        if (fate === "retried" && ctx.attempt === 1) return yield* Effect.fail("again")
        if (fate === "late" && ctx.attempt === 1) return yield* Effect.never
      }
      return "done"
    })
})

/** Agents of each kind that are busy at the same time, and the pause between two of their runs. */
const heartbeats = { agents: 10, pause: "150 millis" } as const
const agents = { loops: 4, pause: "100 millis" } as const

/** Records that are kept of each agent. */
const keepLast = 20

const kept = { keepLast, exhaustedFor: Duration.zero, batch: 10_000 }

/** Prunes until nothing is left to prune, as a host does from time to time. */
export const prune = Effect.gen(function*() {
  const runs = yield* RunStore.RunStore
  while ((yield* runs.prune(kept)) === kept.batch);
})

/** Works until it is interrupted, and counts what it has done. */
export const work = Effect.fnUntraced(function*(done: MutableRef.MutableRef<Done>) {
  const count = (what: keyof Done) =>
    Effect.sync(() => MutableRef.update(done, (done) => ({ ...done, [what]: done[what] + 1 })))
  const beating = (n: number) =>
    Heartbeat.run(beat, { agent: `watcher-${n}` }).pipe(
      Effect.filterOrFail(({ status }) => status === "warning", ({ status }) => `a pass ended with ${status}`),
      Effect.andThen(count("passes")),
      Effect.andThen(Effect.sleep(heartbeats.pause)),
      Effect.forever
    )
  const running = (loop: number) =>
    Effect.gen(function*() {
      for (let n = loop;; n++) {
        const fate = fates[n % fates.length] ?? "well"
        const run = yield* Agent.start(worker, { agent: `worker-${loop}`, prompt: fate, callerId: "soak" })
        if (fate === "cancelled") {
          yield* Effect.sleep("30 millis")
          yield* Agent.cancel(run.runId)
        }
        const { status } = yield* run.record
        const expected = fate === "failed" ? "error" : fate === "cancelled" ? "cancelled" : "ok"
        if (status !== expected) return yield* Effect.fail(`a run that was to end ${expected} ended ${status}`)
        yield* count("runs")
        yield* Effect.sleep(agents.pause)
      }
    })
  yield* Effect.all([
    ...Array.from({ length: heartbeats.agents }, (_, n) => beating(n)),
    ...Array.from({ length: agents.loops }, (_, n) => running(n)),
    Effect.forever(Effect.andThen(Effect.sleep("2 seconds"), prune))
  ], { concurrency: "unbounded", discard: true })
})

/** Engine, supervisor and recovery on the stores. */
export const host = <E>(stores: Layer.Layer<CheckpointStore.CheckpointStore | RunStore.RunStore, E>) =>
  Recovery.layer({ agents: [worker], heartbeats: [beat], pollInterval: "1 second" }).pipe(
    Layer.provideMerge(Layer.merge(AgentSupervisor.layerWith({ leaseTtl: "6 seconds" }), HeartbeatEngine.layer)),
    Layer.provideMerge(stores)
  )

/** Everything that the store lists, for stores without tables to look at. */
export const countRuns = Effect.gen(function*() {
  const runs = yield* RunStore.RunStore
  let count = 0
  let cursor: string | undefined
  do {
    const page = yield* runs.list({}, { limit: 500, cursor })
    count += page.items.length
    cursor = page.next
  } while (cursor !== undefined)
  return count
})
