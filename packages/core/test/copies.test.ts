/** What happens when an application loads this package, or `effect`, twice. */
import type * as Core from "@everbeat/core"
import { Agent, AgentSupervisor, Heartbeat, HeartbeatEngine, Recovery, Step } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Cause, Effect, Exit, Layer, Schema } from "effect"
import { describe, expect, it, vi } from "vitest"

const engine = HeartbeatEngine.layer.pipe(Layer.provideMerge(MemoryStore.layer))
const supervisor = AgentSupervisor.layer.pipe(Layer.provideMerge(MemoryStore.layer))

const another = async (): Promise<typeof Core> => {
  vi.resetModules()
  return import("@everbeat/core")
}

const defectOf = async (effect: Effect.Effect<unknown, unknown>): Promise<string> => {
  const exit = await Effect.runPromise(Effect.exit(effect))
  return Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "it succeeded"
}

const remedy = /npm ls @everbeat\/core effect.*npm dedupe/s

describe("two copies of core", () => {
  it("do not share steps: the heartbeat names the step and what to do", async () => {
    const other = await another()
    const step = other.Step.make("count", Effect.void)
    expect(() => Heartbeat.make("dispatch", [step])).toThrow(/the step 'count' was made by another copy/)
    expect(() => Heartbeat.make("dispatch", [step])).toThrow(remedy)
  })

  it("do not share heartbeats: the pass is not begun", async () => {
    const other = await another()
    const dispatch = other.Heartbeat.make("dispatch", [other.Step.make("count", Effect.void)])
    const run = Effect.provide(Heartbeat.run(dispatch, { agent: "triage" }), engine)
    const defect = await defectOf(run)
    expect(defect).toMatch(/Heartbeat 'dispatch' was made by another copy of @everbeat\/core/)
    expect(defect).toMatch(remedy)
  })

  it("do not share agents: the run is not begun, and nothing is claimed for it", async () => {
    const other = await another()
    const coder = other.Agent.make("coder", { message: Schema.String, run: () => Effect.void })
    const defect = /Agent 'coder' was made by another copy of @everbeat\/core/
    expect(await defectOf(Effect.provide(Agent.start(coder, { prompt: "go" }), supervisor))).toMatch(defect)
    const recovery = Recovery.layer({ agents: [coder] }).pipe(Layer.provide(supervisor))
    expect(await defectOf(Effect.provide(Effect.void, recovery))).toMatch(defect)
  })
})

describe("values of Effect 3", () => {
  it("are told apart from other values that are no effects", async () => {
    const old = { [Symbol.for("effect/Effect")]: {} }
    // @ts-expect-error: what a caller without the type checker may do
    const count: Step.Step<"count", void, never, never, never> = Step.make("count", () => old)
    const pass = Heartbeat.run(Heartbeat.make("dispatch", [count]), { agent: "triage" })
    const report = await Effect.runPromise(Effect.provide(pass, engine))
    expect(report.errors[0]?.message).toMatch(/the body returned an effect of Effect 3/)
    expect(report.errors[0]?.message).toMatch(remedy)
  })

  it("are refused as the schema of a result", () => {
    const old = { [Symbol.for("effect/Schema")]: {} }
    // @ts-expect-error: what a caller without the type checker may do
    expect(() => Step.make("count", { result: old }, () => Effect.void)).toThrow(/result must be a Schema of the same/)
  })
})

it("what is no heartbeat is told so", async () => {
  // @ts-expect-error: what a caller without the type checker may do
  const run: Effect.Effect<unknown, unknown, HeartbeatEngine.HeartbeatEngine> = Heartbeat.run({ name: "dispatch" }, {
    agent: "triage"
  })
  expect(await defectOf(Effect.provide(run, engine))).toMatch(/is not one: make it with Heartbeat.make/)
})
