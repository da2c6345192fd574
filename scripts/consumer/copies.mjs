/**
 * What a host is told that has `effect` twice. `copies/` has the same version again,
 * an older one, Effect 3, and a core of its own; nothing of it is a stand-in.
 */
import { Heartbeat, HeartbeatEngine, Step } from "@everbeat/core"
import { HeartbeatHandler } from "@everbeat/http"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Layer } from "effect"
import assert from "node:assert/strict"
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"

const require = createRequire(new URL("copies/package.json", import.meta.url))
const load = (name) => import(pathToFileURL(require.resolve(name)).href)
const [other, older, old, otherCore] = await Promise.all(
  ["effect", "effect-4.0", "effect-3", "@everbeat/core"].map(load)
)
assert.notEqual(other.Effect.runFork, Effect.runFork)

const lines = []
const { log } = console
console.log = (...args) => lines.push(args.join(" "))
const remedy = /npm ls @everbeat\/core effect.*npm dedupe/s

// The application runs the engine with its own effect: that works, and is said once.
const layer = HeartbeatEngine.layer.pipe(Layer.provideMerge(MemoryStore.layer))
const dispatch = Heartbeat.make("dispatch", [Step.make("count", Effect.void)])
const pass = () => Effect.provide(Heartbeat.run(dispatch, { agent: "triage" }), layer)
await Effect.runPromise(pass())
assert.ok(!lines.some((line) => line.includes("Two copies")), "one copy is no reason for a warning")
assert.equal((await other.Effect.runPromise(pass())).status, "ok")
assert.equal((await older.Effect.runPromise(pass())).status, "ok")
const warnings = lines.filter((line) => line.includes(`Two copies of "effect"`))
assert.equal(warnings.length, 1, "it is said once")
assert.match(warnings[0], remedy)

// What another core made is refused before anything runs.
const foreign = otherCore.Step.make("count", other.Effect.void)
assert.throws(() => Heartbeat.make("dispatch", [foreign]), { name: "TypeError", message: remedy })

// Effect 3 in each place where an application hands something over.
assert.throws(() => Step.make("count", { result: old.Schema.Number }, () => Effect.succeed(1)), { message: remedy })
assert.throws(
  () => HeartbeatHandler.make({ heartbeats: { triage: dispatch }, auth: () => Effect.die(""), layer: old.Layer.empty }),
  { message: /npm ls effect/ }
)
const beat = Heartbeat.make("dispatch", [Step.make("count", () => old.Effect.succeed(1))])
const report = await Effect.runPromise(Effect.provide(Heartbeat.run(beat, { agent: "triage" }), layer))
assert.match(report.errors[0].message, /Effect 3/)
assert.match(report.errors[0].message, remedy)

console.log = log
console.log("two copies of effect are told")
