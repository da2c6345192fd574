/** Agents of async functions as agents of the supervisor. */
import * as Effect from "effect/Effect"
import * as Core from "../../Agent.ts"
import type * as CoreContext from "../../AgentContext.ts"
import type { AgentHandle as CoreHandle } from "../../AgentHandle.ts"
import type { Agent, AgentOptions, AnyAgent } from "../Agent.ts"
import type { AgentContext, ChildOptions, Resumption } from "../AgentContext.ts"
import type { AgentHandle } from "../AgentHandle.ts"
import { EverbeatError, FilesNotKeptError } from "../EverbeatError.ts"
import { Abort } from "./abort.ts"
import { Calls } from "./calls.ts"
import * as Checks from "./checks.ts"
import { isStored, messageCodec, resultCodec } from "./codec.ts"
import { inputs, payloadOf, startChecks } from "./inputs.ts"
import { invoke } from "./invoke.ts"
import { present } from "./present.ts"
import { isA, lower, Raised, warning } from "./raise.ts"
import { dateOf, keptOf, restoredOf, settledOf } from "./records.ts"
import { isCoreError } from "./translate.ts"

export const TypeId = "~everbeat/core/promise/Agent"

const stored: Checks.Check = (value) =>
  isStored(value) ? undefined : "json(), a validator (Standard Schema), or a schema of Effect"

const checks = {
  run: Checks.aFunction,
  ...Checks.optional({
    message: stored,
    result: stored,
    version: Checks.aString,
    timeout: Checks.aDuration(1),
    grace: Checks.aDuration(0),
    maxAttempts: Checks.aCount(1),
    backoff: Checks.aFunction,
    resumeOn: Checks.aFunction,
    checkpoint: Checks.anObject,
    workspace: Checks.anObject,
    transcript: Checks.anObject,
    recordsCalls: Checks.aBoolean,
    continuation: Checks.anObject
  })
}

const checkpointChecks = Checks.optional({
  every: Checks.aCount(1),
  onMutation: Checks.aBoolean,
  throttle: Checks.aDuration(0),
  onStoreFailure: Checks.oneOf("continue", "stop"),
  verify: Checks.oneOf("identity", "hash")
})

const updateChecks = Checks.optional({
  messages: Checks.anArray,
  iteration: Checks.aCount(0),
  phase: Checks.aString,
  notes: Checks.aString
})

const toolChecks = {
  id: Checks.someText,
  name: Checks.someText,
  execute: Checks.aFunction,
  ...Checks.optional({ mutates: Checks.aBoolean, remember: Checks.aBoolean })
}

const phaseChecks = { name: Checks.someText, execute: Checks.aFunction }

/** The parent of a child is its parent, and its key is how it is found again. */
const { parentRunId: _parent, signal: _signal, ...others } = startChecks
const childChecks = { ...others, key: Checks.aString }

const workspaceChecks = Checks.optional({ every: Checks.aCount(1), afterMutation: Checks.aDuration(0) })

type Definition = Core.Agent<string, unknown, unknown, unknown, never>

class Compiled {
  readonly [TypeId] = { _A: phantom, _M: phantom }
  readonly name: string
  readonly version: string
  readonly definition: Definition

  constructor(definition: Definition) {
    this.definition = definition
    this.name = definition.name
    this.version = definition.version
  }
}

const phantom = (): never => {
  throw new Error("only a type")
}

export const isAgent = (value: unknown): value is AnyAgent =>
  typeof value === "object" && value !== null && TypeId in value

/** Only `agent` makes agents. */
export const definitionOf = <A>(agent: AnyAgent<A>): Core.Agent<string, unknown, A, unknown, never> =>
  (agent as unknown as Compiled).definition as Core.Agent<string, unknown, A, unknown, never>

export const agent = <const Name extends string, M, A>(name: Name, options: AgentOptions<M, A>): Agent<Name, M, A> => {
  const given: unknown = options
  const nested = (key: string, rules: Readonly<Record<string, Checks.Check>>) =>
    Checks.isRecord(given) && Checks.isRecord(given[key]) ? Checks.problemsOf(given[key], rules, key) : []
  Checks.refuse(`agent(${Checks.describe(name)})`, [
    ...Checks.problemsOf({ name }, { name: Checks.aName }),
    ...Checks.problemsOf(given, checks),
    ...nested("checkpoint", checkpointChecks),
    ...nested("workspace", workspaceChecks)
  ])
  const { message, result, resumeOn, run, ...rest } = options
  const definition = Core.make<Name, M, unknown, never, A>(name, {
    ...rest,
    message: messageCodec(message),
    result: resultCodec(result),
    resumeOn: (error: unknown) =>
      resumeOn === undefined ? isA(error, Raised) && error.isRetryable : resumeOn(lower(error)),
    run: (ctx) => runAgent(ctx, run)
  })
  // What only the types know: the name as a literal, and the variances.
  return new Compiled(definition as unknown as Definition) as unknown as Agent<Name, M, A>
}

const runAgent = <M, A>(
  ctx: CoreContext.AgentContext<M>,
  run: AgentOptions<M, A>["run"]
): Effect.Effect<A, unknown> =>
  Effect.flatMap(Effect.context<never>(), (context) => {
    const abort = new Abort()
    const calls = new Calls(context, abort)
    abort.signal.addEventListener("abort", () => calls.stop(), { once: true })
    const loop = invoke(() => run(contextOf(ctx, calls, abort)), abort, undefined)
    return loop.pipe(
      // The supervisor knows what to do about errors of its own.
      Effect.mapError((error) =>
        isA(error.value, EverbeatError) && isCoreError(error.value.cause) ? error.value.cause : error
      ),
      Effect.tapError(() => Effect.sync(() => calls.stop())),
      Effect.onExit(() => Effect.ignore(Effect.interruptible(calls.over))),
      Effect.onInterrupt(() => Effect.sync(() => calls.stop())),
      Effect.tap(() => Effect.forEach(calls.unheard, (error) => ctx.warn(notAwaited(error)))),
      // What the agent resolved to.
      Effect.map((answer) => answer as A)
    )
  })

const notAwaited = ({ _tag, message }: Raised): Raised =>
  new Raised({
    _tag: "NotAwaited",
    message: `A call that the agent did not await failed: ${_tag}: ${message}`,
    hint: "Await every call on ctx.",
    value: undefined
  })

const resumptionOf = <M>(resume: CoreContext.Resumption<M>): Resumption<M> => ({
  ...resume,
  endedAt: resume.endedAt === undefined ? undefined : dateOf(resume.endedAt),
  workspace: resume.workspace === undefined ? undefined : restoredOf(resume.workspace)
})

const notAnAgent = (value: unknown) => ({
  option: "the agent",
  given: Checks.describe(value),
  expected: "agent(name, { run })"
})

const contextOf = <M>(ctx: CoreContext.AgentContext<M>, calls: Calls, abort: Abort): AgentContext<M> => {
  const { checkpoint, workspace } = ctx
  const told = (effect: Effect.Effect<void>) => void calls.run(effect)
  const body = <A>(execute: (signal: AbortSignal) => A | PromiseLike<A>): Effect.Effect<A, Raised> =>
    Effect.suspend(() => {
      const own = new Abort()
      // What `execute` resolved to.
      return invoke(() => execute(own.signal), own, undefined) as Effect.Effect<A, Raised>
    })
  return {
    runId: ctx.runId,
    meta: ctx.meta,
    attempt: ctx.attempt,
    maxAttempts: ctx.maxAttempts,
    fence: ctx.fence,
    get signal() {
      return abort.signal
    },
    resume: ctx.resume === undefined ? undefined : resumptionOf(ctx.resume),
    checkpoint: {
      save: (update) =>
        calls.given(
          () => inputs("ctx.checkpoint.save", update, updateChecks),
          (update) => calls.run(checkpoint.save(update))
        ),
      note: (text) =>
        calls.given(
          () => inputs("ctx.checkpoint.note", { text }, { text: Checks.aString }),
          ({ text }) => calls.run(checkpoint.note(text))
        ),
      flush: () => calls.run(checkpoint.flush),
      tool: <A>(
        call: { readonly remember?: boolean | undefined; readonly id: string; readonly name: string },
        execute: (signal: AbortSignal) => A | PromiseLike<A>
      ) => {
        const check = () => {
          const options = Checks.isRecord(call) ? { ...call, execute } : call
          Checks.refuse("ctx.checkpoint.tool", Checks.problemsOf(options, toolChecks))
          return call
        }
        return calls.given(check, ({ remember = false, ...rest }) =>
          calls.tool<A>((body) =>
            remember
              ? checkpoint.tool({ ...rest, result: resultCodec<A>(undefined) }, body)
              : checkpoint.tool(rest, body), execute))
      },
      phase: (name, execute) =>
        calls.given(
          () => inputs("ctx.checkpoint.phase", { name, execute }, phaseChecks),
          ({ execute, name }) => calls.stoppable(checkpoint.phase(name, body(execute)))
        )
    },
    workspace: workspace === undefined ? undefined : {
      cwd: workspace.cwd,
      snapshot: () =>
        calls.run(workspace.snapshot.pipe(
          Effect.map((snapshot) => (snapshot === undefined ? undefined : keptOf(snapshot))),
          Effect.mapError((error) =>
            new FilesNotKeptError(error.message, {
              hint: "hint" in error ? error.hint : undefined,
              cause: error
            })
          )
        ))
    },
    warn: (code, message, options) => told(ctx.warn(warning(code, message, options))),
    touch: (url) => told(Effect.suspend(() => ctx.touch(String(url)))),
    start: <A>(child: AnyAgent<A>, options: ChildOptions) => {
      const check = () => {
        Checks.refuse("ctx.start", isAgent(child) ? [] : [notAnAgent(child)])
        return inputs("ctx.start", options, childChecks)
      }
      return calls.given(check, ({ payload, ...rest }) =>
        calls.run(Effect.map(
          ctx.start(definitionOf(child), { ...present(rest), ...payloadOf(payload) }),
          (handle) => handleOf(handle, (effect) => calls.run(effect))
        )))
    }
  }
}

export const handleOf = <A>(
  handle: CoreHandle<A, unknown>,
  run: <B>(effect: Effect.Effect<B, unknown>) => Promise<B>
): AgentHandle<A> => ({
  runId: handle.runId,
  origin: handle.origin,
  result: () => run(handle.result),
  record: () => run(Effect.map(handle.record, settledOf))
})
