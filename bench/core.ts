/**
 * What a heartbeat costs: a pass of ten steps on the memory store, side by side
 * with `Effect.exit(Effect.timeout(step))` over the same ten effects, which is
 * the least that anybody would write instead. Both run in rotation in one
 * process, so noise of the machine hits both; only their ratio means something.
 *
 *   npm run bench:core            a table
 *   npm run bench:core -- --json  one line of JSON
 *   npm run bench:core -- --quick fewer rounds, and shorter ones
 *
 * The exit code is 1 when a limit of the README does not hold. `syncVsTimeout` and `asyncVsTimeout` are the worst ratio of their kinds.
 */
import { Heartbeat, HeartbeatEngine, Step } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Context, Effect, Layer } from "effect"
import { conclude, median, print, round } from "./support/numbers.ts"

const stepsPerPass = 10
const quick = process.argv.includes("--quick")
const rounds = quick ? 5 : 9
const warmUp = quick ? 2 : 3
/** Of the passes of a round. */
const share = quick ? 0.4 : 1

class Db extends Context.Service<Db, { readonly get: (n: number) => Effect.Effect<number> }>()("bench/Db") {}

const kinds: ReadonlyArray<{
  readonly name: string
  readonly async: boolean
  readonly passes: number
  readonly effect: (n: number) => Effect.Effect<unknown, never, Db>
}> = [
  { name: "Effect.void", async: false, passes: 5000, effect: () => Effect.void },
  { name: "Effect.sync", async: false, passes: 5000, effect: (n) => Effect.sync(() => n + 1) },
  {
    name: "gen + service",
    async: false,
    passes: 5000,
    effect: (n) =>
      Effect.gen(function*() {
        const db = yield* Db
        let sum = 0
        for (let index = 0; index < 3; index++) sum += yield* db.get(n)
        return sum
      })
  },
  {
    name: "yieldNow",
    async: true,
    passes: 2000,
    effect: (n) => Effect.andThen(Effect.yieldNow, Db.use((db) => db.get(n)))
  },
  {
    name: "promise",
    async: true,
    passes: 1000,
    effect: () => Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
  }
]

const stepsPerSecond = (pass: Effect.Effect<unknown, unknown, Db | HeartbeatEngine.HeartbeatEngine>, passes: number) =>
  Effect.gen(function*() {
    const from = process.hrtime.bigint()
    for (let index = 0; index < passes; index++) yield* pass
    return (passes * stepsPerPass) / (Number(process.hrtime.bigint() - from) / 1e9)
  })

const measure = Effect.fnUntraced(function*(kind: (typeof kinds)[number]) {
  const effects = Array.from({ length: stepsPerPass }, (_, n) => kind.effect(n))
  const steps: ReadonlyArray<Step.Step<string, void, never, never, Db>> = effects.map((effect, n) =>
    Step.make(`step-${n}`, effect)
  )
  const heartbeat = Heartbeat.make("bench", steps)
  const heartbeats: Array<number> = []
  const timeouts: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    const timeout = yield* stepsPerSecond(
      Effect.forEach(effects, (effect) => Effect.exit(Effect.timeout(effect, "30 seconds")), { discard: true }),
      kind.passes * share
    )
    const ours = yield* stepsPerSecond(Heartbeat.run(heartbeat, { agent: "bench" }), kind.passes * share)
    if (round < warmUp) continue
    heartbeats.push(ours)
    timeouts.push(timeout)
  }
  return {
    ...kind,
    heartbeat: median(heartbeats),
    timeout: median(timeouts),
    ratio: median(timeouts) / median(heartbeats)
  }
})

const services = Layer.mergeAll(
  Layer.provideMerge(HeartbeatEngine.layer, MemoryStore.layer),
  Layer.succeed(Db, Db.of({ get: (n) => Effect.succeed(n) }))
)
const results = await Effect.runPromise(Effect.provide(Effect.forEach(kinds, measure), services))

const worst = (async: boolean) =>
  Math.max(...results.filter((result) => result.async === async).map(({ ratio }) => ratio))
const summary = {
  stepsPerSecondMemory: Math.round(Math.min(...results.filter((result) => !result.async).map((r) => r.heartbeat))),
  syncVsTimeout: round(worst(false)),
  asyncVsTimeout: round(worst(true))
}

const number = (value: number) => Math.round(value).toLocaleString("en-US")

conclude(
  summary,
  [
    { name: "stepsPerSecondMemory", value: summary.stepsPerSecondMemory, operator: ">=", limit: 100_000 },
    { name: "syncVsTimeout", value: summary.syncVsTimeout, operator: "<=", limit: 3 },
    { name: "asyncVsTimeout", value: summary.asyncVsTimeout, operator: "<=", limit: 1.5 }
  ],
  () =>
    print([
      ["steps/s", "exit(timeout)", "heartbeat", "ratio"],
      ...results.map((
        { heartbeat, name, ratio, timeout }
      ) => [name, number(timeout), number(heartbeat), ratio.toFixed(2)])
    ])
)
