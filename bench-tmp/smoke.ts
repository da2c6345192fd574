import { Effect, Layer, Schema } from "effect"
import { Heartbeat, HeartbeatEngine, Step } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
class Low extends Schema.TaggedError<Low>()("Low", { n: Schema.Int }) {}
const a = Step.make("a", { result: Schema.Int }, () => Effect.gen(function*() { yield* Step.touch("https://x.dev/1"); yield* Step.warn(new Low({ n: 1 })); return 3 }))
const b = Step.make("b", { after: { a } }, ({ a }) => Effect.sleep(a * 20))
const hb = Heartbeat.make("t", [a, b])
const layer = Layer.provideMerge(HeartbeatEngine.layer, MemoryStore.layer)
console.log(JSON.stringify(await Effect.runPromise(Heartbeat.run(hb, { agent: "x" }).pipe(Effect.provide(layer))), null, 1))
const N = 10
const db = { get: (n: number) => Effect.succeed(n) }
const kinds: Record<string, (i: number) => Effect.Effect<unknown>> = {
  void: () => Effect.void,
  sync: (i) => Effect.sync(() => i + 1),
  gen: (i) => Effect.gen(function*() { let n = 0; for (let k = 0; k < 3; k++) n += yield* db.get(i); return n }),
  yieldNow: (i) => Effect.gen(function*() { yield* Effect.yieldNow; return yield* db.get(i) }),
  promise: () => Effect.promise(() => new Promise<void>((r) => setImmediate(r)))
}
for (const [name, kind] of Object.entries(kinds)) {
  const effects = Array.from({ length: N }, (_, i) => kind(i))
  const hb = Heartbeat.make("bench", effects.map((e, i) => Step.make(`s${i}`, e)) as ReadonlyArray<Step.Step<string, void, never, never, never>>)
  const naive = Effect.forEach(effects, (e) => Effect.exit(Effect.timeout(e, "30 seconds")), { discard: true })
  const ours = Heartbeat.run(hb, { agent: "bench" })
  const passes = name === "promise" ? 2000 : 10000
  const rate = async (e: Effect.Effect<unknown, any, any>) => {
    const p = Effect.gen(function*() {
      yield* e
      const t = process.hrtime.bigint()
      for (let i = 0; i < passes; i++) yield* e
      return passes * N / (Number(process.hrtime.bigint() - t) / 1e9)
    }).pipe(Effect.provide(layer)) as Effect.Effect<number>
    return Effect.runPromise(p)
  }
  const n: number[] = [], o: number[] = []
  for (let r = 0; r < 5; r++) { n.push(await rate(naive)); o.push(await rate(ours)) }
  const med = (x: number[]) => x.sort((a, b) => a - b)[2]!
  console.log(name.padEnd(10), "naive", Math.round(med(n)), "ours", Math.round(med(o)), "ratio", (med(n) / med(o)).toFixed(2))
}
