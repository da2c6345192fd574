/** What the supervisor computes once per definition of an agent. */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { Agent, Any, Options } from "../../Agent.ts"
import type { AgentContext } from "../../AgentContext.ts"
import { isAgentName } from "../../AgentName.ts"
import type * as Continuation from "../../Continuation.ts"
import * as MessageCodec from "../../MessageCodec.ts"
import type * as Transcript from "../../Transcript.ts"
import { refuseForeign, stamp } from "../copies.ts"

export const TypeId = "~everbeat/core/Agent"

export interface Definition<in out M, out A, out E, out R> {
  readonly name: string
  readonly version: string
  readonly codec: MessageCodec.MessageCodec<M>
  /** Absent for an agent that answers nothing. */
  readonly result: Schema.Codec<A, Schema.Json> | undefined
  readonly run: (context: AgentContext<M>) => Effect.Effect<A, E, R>
  readonly timeoutMillis: number
  readonly graceMillis: number
  readonly maxAttempts: number
  readonly backoffMillis: (attempt: number) => number
  readonly resumeOn: (error: unknown) => boolean
  readonly every: number
  readonly onMutation: boolean
  readonly throttle: Duration.Duration
  readonly onStoreFailure: "continue" | "stop"
  readonly verify: "identity" | "hash"
  readonly snapshotEvery: number
  readonly snapshotAfterMutationMillis: number
  readonly transcript: Transcript.Adapter<M> | undefined
  readonly recordsCalls: boolean
  readonly continuation: Continuation.Options<M> | undefined
}

class Compiled<out Name extends string, in out M, out A, out E, out R> implements Agent<Name, M, A, E, R> {
  readonly [TypeId]: Agent<Name, M, A, E, R>[typeof TypeId] = variance
  readonly name: Name
  readonly version: string
  readonly definition: Definition<M, A, E, R>

  constructor(name: Name, definition: Definition<M, A, E, R>) {
    Object.assign(this, stamp)
    this.name = name
    this.version = definition.version
    this.definition = definition
  }
}

const variance = { _M: identity, _A: identity, _E: identity, _R: identity }

/** The definition inside an agent. Only `build` makes agents: each is `Compiled`. */
export const definitionOf = <M, A, E, R>(agent: Agent<string, M, A, E, R>): Definition<M, A, E, R> => {
  refuseForeign(`Agent '${agent?.name}'`, TypeId, agent, "Agent.make")
  return (agent as Compiled<string, M, A, E, R>).definition
}

/** Any agent, for callers that neither make nor read its messages: what runs it takes them from its own codec. */
export const erased = <R, A, E>(agent: Any<R, A, E>): Agent<string, unknown, A, E, R> =>
  agent as Compiled<string, unknown, A, E, R> // of whatever messages: `M` is invariant

const isRetryable = (error: unknown): boolean =>
  Predicate.hasProperty(error, "isRetryable") && error.isRetryable === true

const backoff = (attempt: number): number => Math.min(30_000, 1000 * 2 ** Math.max(0, attempt - 1))

/** Functions of the user decide how a run goes on: one that throws must not decide that it does not. */
const guarded = <A>(decide: () => A | undefined, otherwise: A): A => {
  try {
    return decide() ?? otherwise
  } catch {
    return otherwise
  }
}

/** The codec of a result encodes to JSON by definition; the type says so only for schemas without services. */
const jsonOf = <A>(schema: Schema.Codec<A, unknown>): Schema.Codec<A, Schema.Json> => Schema.toCodecJson(schema)

export const build = <Name extends string, M, A, E, R>(
  name: Name,
  options: Options<M, A, E, R>
): Agent<Name, M, A, E, R> => {
  const refuse = (problem: string): never => {
    throw new TypeError(`Agent '${name}': ${problem}`)
  }
  const millis = (option: string, input: Duration.Input | undefined, fallback: number, least: number): number => {
    const value = input === undefined ? fallback : Duration.toMillis(Duration.fromInputUnsafe(input))
    return value >= least ? value : refuse(`${option} must be at least ${least} ms`)
  }
  const count = (option: string, value: number | undefined, fallback: number): number =>
    value === undefined ? fallback : Number.isSafeInteger(value) && value >= 1
      ? value
      : refuse(`${option} must be a whole number of at least 1`)
  if (!isAgentName(name)) {
    refuse("use 1 to 128 letters, digits, '.', '_' or '-' as its name, starting with a letter or a digit")
  }
  const { checkpoint = {}, message, version = "", workspace = {} } = options
  const definition: Definition<M, A, E, R> = {
    name,
    version,
    codec: "maxBytes" in message ? message : MessageCodec.make(message),
    result: options.result === undefined ? undefined : jsonOf(options.result),
    run: options.run,
    timeoutMillis: millis("timeout", options.timeout, 120_000, 1),
    graceMillis: millis("grace", options.grace, 5000, 0),
    maxAttempts: count("maxAttempts", options.maxAttempts, 3),
    backoffMillis: (attempt) =>
      guarded(
        () => options.backoff && Math.max(0, Duration.toMillis(Duration.fromInputUnsafe(options.backoff(attempt)))),
        backoff(attempt)
      ),
    // Called with what `run` failed with, and nothing else.
    resumeOn: (error) => guarded(() => (options.resumeOn ?? isRetryable)(error as E), false),
    every: count("checkpoint.every", checkpoint.every, 1),
    onMutation: checkpoint.onMutation ?? true,
    throttle: Duration.millis(millis("checkpoint.throttle", checkpoint.throttle, 0, 0)),
    onStoreFailure: checkpoint.onStoreFailure ?? "continue",
    verify: checkpoint.verify ?? "identity",
    snapshotEvery: count("workspace.every", workspace.every, 5),
    snapshotAfterMutationMillis: millis("workspace.afterMutation", workspace.afterMutation, 30_000, 0),
    transcript: options.transcript,
    recordsCalls: options.recordsCalls ?? false,
    continuation: options.continuation
  }
  return new Compiled(name, definition)
}
