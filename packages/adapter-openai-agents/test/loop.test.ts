import { assert, describe, it } from "@effect/vitest"
import { OpenAIAgents } from "@everbeat/adapter-openai-agents"
import { Agent, AgentSupervisor, Transcript } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import {
  addTraceProcessor,
  Agent as OpenAIAgent,
  type AgentInputItem,
  MaxTurnsExceededError,
  Runner,
  setTracingDisabled,
  shellTool,
  tool
} from "@openai/agents"
import { assistantMessage, functionCall, modelResponder, ScriptedModel } from "@openai/agents/testing"
import { Deferred, Effect, Fiber, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { z } from "zod"

type Body = Parameters<typeof OpenAIAgents.run<string>>[1]

const live = () => Layer.provideMerge(AgentSupervisor.layer, Layer.fresh(MemoryStore.layer))

const define = (body: Body) =>
  Agent.make("loop", {
    ...OpenAIAgents.options,
    result: Schema.String,
    backoff: () => 0,
    run: (ctx) => OpenAIAgents.run(ctx, body)
  })

const run = (body: Body) =>
  Effect.flatMap(Agent.start(define(body), { prompt: "Go" }), (handle) => Effect.exit(handle.result)).pipe(
    Effect.provide(live())
  )

const call = (name: string, callId = `call ${name}`, args: Record<string, unknown> = {}) =>
  functionCall(name, args, { callId })

const act = (name: string, execute: (signal: AbortSignal | undefined) => unknown, needsApproval = false) =>
  tool({
    name,
    description: name,
    parameters: z.object({}),
    needsApproval,
    execute: async (_input, _context, details) => execute(details?.signal)
  })

const toldIn = (model: ScriptedModel, at: number): ReadonlyArray<string> => {
  const input = model.calls[at]?.request.input
  return (Array.isArray(input) ? input : []).flatMap((item: AgentInputItem) =>
    item.type === "function_call_result" ? [JSON.stringify(item.output)] : []
  )
}

describe("a run of the Agents SDK", () => {
  it.effect("goes on with the agent that had the word, and repeats no hand-over", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const released: Array<number> = []
      const make = (attempt: number) => {
        const second = attempt > 1
        const desk = new ScriptedModel([[call("transfer_to_release")]])
        const release = new ScriptedModel([
          second
            ? modelResponder(({ request }) => [
              assistantMessage(JSON.stringify(request.input).includes("outcome unknown") ? "It may be out." : "?")
            ])
            : [call("publish")]
        ])
        const publish = act("publish", () => {
          released.push(attempt)
          return Effect.runPromise(Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
        })
        const releaser = new OpenAIAgent({ name: "release", model: release, tools: [publish] })
        const agent = new OpenAIAgent({ name: "desk", model: desk, handoffs: [releaser] })
        return { agent, desk, release }
      }
      const asked: Array<string> = []
      const agent = define(async (ctx) => {
        const made = make(ctx.attempt)
        const { finalOutput, lastAgent } = await OpenAIAgents.loop(ctx, { agent: made.agent })
        asked.push(`${made.desk.calls.length} ${made.release.calls.length} ${lastAgent?.name}`)
        return String(finalOutput)
      })
      const result = yield* Effect.gen(function*() {
        const first = yield* Agent.start(agent, { prompt: "Release it" })
        yield* Deferred.await(begun)
        const interrupted = yield* Effect.forkChild(first.interrupt, { startImmediately: true })
        yield* TestClock.adjust("1 minute") // the grace of the tool, which does not end
        yield* Fiber.join(interrupted)
        return yield* Effect.flatMap(Agent.resume(agent, first.runId), ({ result }) => result)
      }).pipe(Effect.provide(Layer.provideMerge(AgentSupervisor.layer, Layer.fresh(MemoryStore.layer))))
      assert.strictEqual(result, "It may be out.")
      assert.deepStrictEqual(released, [1])
      assert.deepStrictEqual(asked, ["0 1 release"])
    }))

  it.effect("by its timeout waits for a tool that does not listen, and records how it ended", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const stopped = yield* Deferred.make<void>()
      const release = yield* Deferred.make<void>()
      const applied: Array<string> = []
      const models: Array<ScriptedModel> = []
      const tools = [
        act("close", (signal) => {
          applied.push("close")
          signal?.addEventListener("abort", () => Effect.runSync(Deferred.succeed(stopped, undefined)))
          const ended = Effect.as(Deferred.await(release), "closed")
          return Effect.runPromise(Effect.andThen(Deferred.succeed(begun, undefined), ended))
        }),
        act("label", (signal) => {
          applied.push("label")
          return new Promise((_, reject) =>
            signal?.addEventListener("abort", () => reject(new Error("The connection was closed.")))
          )
        }),
        act("fetch", (signal) => {
          applied.push("fetch")
          return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)))
        })
      ]
      const agent = Agent.make("loop", {
        ...OpenAIAgents.options,
        result: Schema.String,
        timeout: "2 seconds",
        backoff: () => 0,
        run: (ctx) =>
          OpenAIAgents.run(ctx, async (ctx) => {
            const model = new ScriptedModel([
              ctx.attempt === 1 ? [call("label"), call("fetch"), call("close")] : [assistantMessage("Done.")]
            ])
            models.push(model)
            const agent = new OpenAIAgent({ name: "x", model, tools })
            return String((await OpenAIAgents.loop(ctx, { agent })).finalOutput)
          })
      })
      const { attempts, result } = yield* Effect.gen(function*() {
        const handle = yield* Agent.start(agent, { prompt: "Go" })
        yield* Deferred.await(begun)
        yield* TestClock.adjust("2 seconds")
        yield* Deferred.await(stopped)
        yield* Deferred.succeed(release, undefined)
        return yield* handle.record
      }).pipe(Effect.provide(live()))
      assert.strictEqual(result, "Done.")
      assert.deepStrictEqual(attempts.map(({ reason }) => reason), ["timeout", undefined])
      assert.sameMembers(applied, ["close", "label", "fetch"])
      const [, second = assert.fail()] = models
      const unknown = "INTERRUPTED: outcome unknown. Check the current state before calling this again."
      // What a tool throws when it is stopped is no result, whatever the SDK makes of errors.
      assert.deepStrictEqual(toldIn(second, 0).map((output) => JSON.parse(output).text), [unknown, unknown, "closed"])
    }))

  it.live("asks a person where the tool needs it, and runs nothing without", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const tools = ["a", "b"].map((name) => act(name, () => ran.push(name), true))
      const model = () => new ScriptedModel([[call("a"), call("b")], [assistantMessage("Done.")]])
      const unattended = model()
      yield* run(async (ctx) => {
        const agent = new OpenAIAgent({ name: "x", model: unattended, tools })
        return String((await OpenAIAgents.loop(ctx, { agent })).finalOutput)
      })
      assert.deepStrictEqual(ran, [])
      assert.lengthOf(toldIn(unattended, 1), 2)
      yield* run(async (ctx) => {
        const agent = new OpenAIAgent({ name: "x", model: model(), tools })
        const approve = ({ name }: { readonly name?: string | undefined }) => name === "b"
        return String((await OpenAIAgents.loop(ctx, { agent, approve })).finalOutput)
      })
      assert.deepStrictEqual(ran, ["b"])
    }))

  it.live("keeps what an agent that is a tool says to itself out of the conversation", () =>
    Effect.gen(function*() {
      const inner = new OpenAIAgent({ name: "inner", model: new ScriptedModel([[assistantMessage("four")]]) })
      const model = new ScriptedModel([
        [call("ask", "c", { input: "2 + 2" })],
        modelResponder(({ request }) => [assistantMessage(JSON.stringify(request.input))])
      ])
      const tools = [inner.asTool({ toolName: "ask", toolDescription: "asks" })]
      let saved: ReadonlyArray<OpenAIAgents.Message> = []
      yield* run(async (ctx) => {
        const save: typeof ctx.checkpoint.save = (update) => {
          saved = update.messages ?? saved
          return ctx.checkpoint.save(update)
        }
        const watched = { ...ctx, checkpoint: { ...ctx.checkpoint, save } }
        const agent = new OpenAIAgent({ name: "outer", model, tools })
        return String((await OpenAIAgents.loop(watched, { agent })).finalOutput)
      })
      assert.deepStrictEqual(saved.map((message) => OpenAIAgents.transcript.role(message)), [
        "user",
        "assistant",
        "tool",
        "assistant"
      ])
      assert.deepStrictEqual(toldIn(model, 1), [JSON.stringify({ type: "text", text: "four" })])
    }))

  it.live("finds models by name with the provider of the runner, and tells who listens", () =>
    Effect.gen(function*() {
      const heard: Array<string> = []
      const model = new ScriptedModel([[call("a")], [assistantMessage("Done.")]])
      const runner = new Runner({
        tracingDisabled: true,
        modelProvider: { getModel: (name) => (heard.push(String(name)), model) }
      })
      runner.on("agent_tool_start", (_context, _agent, tool) => void heard.push(`runner: ${tool.name}`))
      const agent = new OpenAIAgent({ name: "x", model: "some-model", tools: [act("a", () => "ok")] })
      agent.on("agent_tool_end", (_context, tool) => void heard.push(`agent: ${tool.name}`))
      const exit = yield* run(async (ctx) => String((await OpenAIAgents.loop(ctx, { agent, runner })).finalOutput))
      assert.deepStrictEqual(exit, yield* Effect.exit(Effect.succeed("Done.")))
      assert.includeMembers(heard, ["some-model", "runner: a", "agent: a"])
    }))

  it.live("exports no traces, and changes nothing of how the host does", () =>
    Effect.gen(function*() {
      const traced: Array<string> = []
      setTracingDisabled(false) // the SDK itself switches traces off in tests
      const ended = Promise.resolve()
      addTraceProcessor({
        onTraceStart: async (trace) => void traced.push(trace.name),
        onTraceEnd: () => ended,
        onSpanStart: () => ended,
        onSpanEnd: () => ended,
        shutdown: () => ended,
        forceFlush: () => ended
      })
      const model = () => new ScriptedModel([[assistantMessage("Done.")]])
      yield* run(async (ctx) =>
        String((await OpenAIAgents.loop(ctx, { agent: new OpenAIAgent({ name: "x", model: model() }) })).finalOutput)
      )
      assert.deepStrictEqual(traced, [])
      const runner = new Runner({ tracingDisabled: false, workflowName: "mine" })
      yield* run(async (ctx) =>
        String(
          (await OpenAIAgents.loop(ctx, { agent: new OpenAIAgent({ name: "x", model: model() }), runner })).finalOutput
        )
      )
      assert.deepStrictEqual(traced, ["mine"])
    }))

  it.live("rejects as the SDK does when the model does not come to an end", () =>
    Effect.gen(function*() {
      const model = new ScriptedModel([[call("a", "1")], [call("a", "2")], [call("a", "3")]])
      let error: unknown
      yield* run(async (ctx) => {
        const agent = new OpenAIAgent({ name: "x", model, tools: [act("a", () => "ok")] })
        try {
          return String((await OpenAIAgents.loop(ctx, { agent, maxTurns: 2 })).finalOutput)
        } catch (thrown) {
          error = thrown
          throw thrown
        }
      })
      assert.instanceOf(error, MaxTurnsExceededError)
      assert.lengthOf(model.calls, 2)
    }))

  it.live("does not take a call for failed that was stopped because another one failed the run", () =>
    Effect.gen(function*() {
      const model = new ScriptedModel([[call("bad"), call("slow")]])
      const bad = tool({
        name: "bad",
        description: "bad",
        parameters: z.object({}),
        errorFunction: null,
        execute: async () => {
          throw new Error("no")
        }
      })
      const slow = act(
        "slow",
        (signal) => new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted"))))
      )
      const second = new ScriptedModel([[assistantMessage("Done.")]])
      const agent = Agent.make("loop", {
        ...OpenAIAgents.options,
        backoff: () => 0,
        run: (ctx) =>
          OpenAIAgents.run(ctx, async (ctx) => {
            const agent = new OpenAIAgent({ name: "x", model: ctx.attempt === 1 ? model : second, tools: [bad, slow] })
            await OpenAIAgents.loop(ctx, { agent })
          }),
        resumeOn: () => true
      })
      const record = Effect.flatMap(Agent.start(agent, { prompt: "Go" }), (handle) => handle.record)
      const { attempts } = yield* Effect.provide(record, live())
      assert.lengthOf(attempts, 2)
      const [first, other] = toldIn(second, 0)
      assert.include(first, "no")
      assert.include(other, "outcome unknown")
    }))

  it.live("refuses what it could not record", () =>
    Effect.gen(function*() {
      const shell = shellTool({ shell: { run: () => Promise.reject(new Error("never")) } })
      const model = new ScriptedModel([[assistantMessage("Done.")]])
      let told = ""
      yield* run(async (ctx) => {
        const agent = new OpenAIAgent({ name: "x", model, tools: [shell] })
        await OpenAIAgents.loop(ctx, { agent }).catch((error: unknown) => (told = String(error)))
        return ""
      })
      assert.include(told, "Make a function tool of it")
      assert.lengthOf(model.calls, 0)
      let wrong = ""
      yield* run(async (ctx) => {
        const agent = new OpenAIAgent({ name: "x", model })
        await OpenAIAgents.loop(ctx, { agent, maxTurns: 0 }).catch((error: unknown) => (wrong = String(error)))
        return ""
      })
      assert.include(wrong, "maxTurns must be a whole number of at least 1, not 0")
    }))
})

describe("the transcript of the Agents SDK", () => {
  const calls: OpenAIAgents.Message = [{ type: "reasoning", content: [] }, call("x", "a"), call("x", "b")]
  const result = (callId: string): AgentInputItem => ({
    type: "function_call_result",
    name: "x",
    callId,
    status: "completed",
    output: { type: "text", text: "ok" }
  })
  const started: Transcript.CallRecord = { id: "b", name: "x", mutates: true, status: "started", startedAt: 0 }

  it("closes open calls behind those that are answered, so that the answer of the model stays whole", () => {
    const { messages, repaired } = Transcript.repair(OpenAIAgents.transcript, [calls, [result("a")]], [started])
    assert.deepStrictEqual(repaired.map(({ how, id }) => [id, how]), [["b", "outcome-unknown"]])
    assert.strictEqual(messages[0], calls)
    assert.deepStrictEqual(messages.flat().map(({ type }) => type), [
      "reasoning",
      "function_call",
      "function_call",
      "function_call_result",
      "function_call_result"
    ])
  })

  it("refuses what is no item, and leaves it where it is", () => {
    const { schema } = OpenAIAgents.message()
    const stored: unknown = JSON.parse(JSON.stringify(calls))
    assert.deepStrictEqual(Schema.encodeUnknownSync(schema)(Schema.decodeUnknownSync(schema)(stored)), stored)
    assert.throws(() => Schema.decodeUnknownSync(schema)([{ type: "telepathy" }]), /no items of this version/)
    assert.throws(() => Schema.encodeUnknownSync(schema)([{ type: "unknown", providerData: { size: 1n } }]), /BigInt/)
  })
})
