/**
 * Serves an instance of `@everbeat/core/promise` over HTTP.
 *
 * @since 0.1.0
 */
import { HeartbeatEngine } from "@everbeat/core/HeartbeatEngine"
import { type Extensible, ExtensionTypeId } from "@everbeat/core/promise/Extension"
import { InvalidOptions, type OptionProblem } from "@everbeat/core/promise/InvalidOptions"
import type { RunStore } from "@everbeat/core/RunStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as AgentAuth from "./AgentAuth.ts"
import type { Principal } from "./AgentPrincipal.ts"
import * as AgentToken from "./AgentToken.ts"
import * as HeartbeatHandler from "./HeartbeatHandler.ts"
import { borrowEngine } from "./internal/borrowedEngine.ts"
import * as NodeAdapter from "./NodeAdapter.ts"

/**
 * What is known of a request when its token is verified. Nothing of it is
 * verified itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface VerifyRequest extends AgentAuth.AuthRequest {
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal
}

/**
 * Tells who a token stands for: the agent and the id of the token, or `null` for
 * a token that is not valid.
 *
 * **Details**
 *
 * What it throws means that nothing is known, and is answered with 503; so is no
 * answer within 10 seconds. Whether the principal may act for the agent in the
 * address is checked afterwards.
 *
 * @category models
 * @since 0.1.0
 */
export type Verify = (
  token: string,
  request: VerifyRequest
) => Principal | null | undefined | Promise<Principal | null | undefined>

/**
 * Options of {@link createHandler}: those of `HeartbeatHandler`, without what
 * the instance has: of settled runs it tells by its own `onSettled`.
 *
 * @category models
 * @since 0.1.0
 */
export interface HandlerOptions
  extends Omit<HeartbeatHandler.RoutesOptions<never, never>, "auth" | "heartbeats" | "onSettled" | "payload">
{
  /** {@link tokens}, or a verification of yours. */
  readonly auth: Verify | AgentAuth.AgentAuth
  /**
   * How long `dispose` waits for the passes in flight, in milliseconds.
   *
   * @default 10000
   */
  readonly graceMs?: number | undefined
}

/**
 * Serves the heartbeats of an instance until it is disposed.
 *
 * **Details**
 *
 * It is a handler like any other: give it to `FastifyAdapter`, `HonoAdapter` and
 * `NextAdapter`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Handler extends AsyncDisposable {
  /** Answers a request. It never rejects: whatever happens is a response. */
  readonly fetch: (request: Request) => Promise<Response>
  /** A listener of `node:http`, and a middleware of Express and Connect. */
  readonly node: NodeAdapter.NodeHandler
  /**
   * Refuses what comes in from now on, waits up to `graceMs` for the passes that it began, and answers whoever still
   * waits. The instance goes on. It never rejects; every further call answers the same promise.
   */
  readonly dispose: (options?: { readonly graceMs?: number | undefined }) => Promise<void>
}

/**
 * Creates a handler that serves the heartbeats of an instance.
 *
 * **Details**
 *
 * To stop, dispose the handler, then close the server, then dispose the
 * instance. Disposing the instance alone disposes its handlers first.
 *
 * A wrong option throws `InvalidOptions` at once.
 *
 * **Example** (Serving one agent)
 *
 * ```ts
 * import { createEverbeat, heartbeat } from "@everbeat/core/promise"
 * import { createHandler, createToken, tokens } from "@everbeat/http/promise"
 * import { memoryStore } from "@everbeat/store-memory/promise"
 *
 * const { sha256, token } = await createToken() // once: give the agent the token, and keep the digest
 *
 * await using everbeat = createEverbeat({
 *   store: memoryStore(),
 *   heartbeats: { triage: heartbeat().step("greet", (ctx) => `hello, ${ctx.agentName}`) }
 * })
 * const handler = createHandler(everbeat, { auth: tokens({ triage: sha256 }) })
 *
 * const response = await handler.fetch(
 *   new Request("http://localhost/api/agents/triage/heartbeat", {
 *     method: "POST",
 *     headers: { authorization: `Bearer ${token}` }
 *   })
 * )
 * const report = await response.json()
 * report.status // => "ok"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const createHandler = (everbeat: Extensible, options: HandlerOptions): Handler => {
  const problems = problemsOf(everbeat, options)
  if (problems.length > 0) throw new InvalidOptions("createHandler", problems)
  const { heartbeats, onDispose, services } = everbeat[ExtensionTypeId]
  const { auth, ...rest } = options
  const layer: Layer.Layer<HeartbeatEngine | RunStore, unknown> = Layer.effectContext(
    Effect.map(
      services,
      (context) => Context.add(context, HeartbeatEngine, borrowEngine(Context.get(context, HeartbeatEngine)))
    )
  )
  const handler = HeartbeatHandler.make({
    ...rest,
    heartbeats,
    auth: typeof auth === "function" ? authOf(auth) : auth,
    layer
  })
  const forget = onDispose((graceMs) => handler.dispose({ graceMs }))
  const dispose: Handler["dispose"] = (options) => {
    forget()
    return handler.dispose(options)
  }
  return {
    fetch: handler.fetch,
    node: NodeAdapter.toNodeHandler(handler),
    dispose,
    [Symbol.asyncDispose]: () => dispose()
  }
}

/**
 * Creates authentication from the SHA-256 digests of tokens, by the agents that
 * they are for: 64 hexadecimal digits each, two of them while a token is
 * rotated.
 *
 * **Details**
 *
 * Every digest is compared in constant time. In the records of runs, `callerId`
 * is the agent with the number of the digest: `triage-1`. Throws `InvalidOptions`
 * for what is no digest, and never shows it: it may be the token itself.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tokens = (
  digests: Readonly<Record<string, string | ReadonlyArray<string>>>
): AgentAuth.AgentAuth => {
  const entries = Object.entries(digests ?? {}).flatMap(([agentName, list]) =>
    [list].flat().map((sha256, index) => ({ agentName, tokenId: `${agentName}-${index + 1}`, sha256 }))
  )
  const problems = entries.filter(({ sha256 }) => typeof sha256 !== "string" || !/^[0-9a-f]{64}$/iu.test(sha256)).map(
    ({ tokenId }): OptionProblem => ({ option: tokenId, given: "something else", expected: "64 hexadecimal digits" })
  )
  if (entries.length === 0) {
    problems.push({ option: "the digests", given: "none", expected: "an object such as { triage: sha256 }" })
  }
  if (problems.length > 0) throw new InvalidOptions("tokens", problems)
  return AgentAuth.tokens(entries)
}

/**
 * Creates a token of 32 random bytes: give `token` to the agent and forget it;
 * keep `sha256` for {@link tokens}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const createToken = async (
  options: { readonly environment?: string | undefined; readonly tokenId?: string | undefined } = {}
): Promise<{ readonly token: string; readonly tokenId: string; readonly sha256: string }> => {
  const { token, ...rest } = await Effect.runPromise(AgentToken.create(options))
  return { ...rest, token: Redacted.value(token) }
}

/**
 * Computes the SHA-256 of a token as {@link tokens} expects it.
 *
 * @category getters
 * @since 0.1.0
 */
export const hashToken = (token: string): Promise<string> => Effect.runPromise(AgentToken.hash(Redacted.make(token)))

// internal

const authOf = (verify: Verify): AgentAuth.AgentAuth =>
  AgentAuth.fromPromise((token, request, signal) => verify(Redacted.value(token), { ...request, signal }))

const known = new Set([
  "auth",
  "basePath",
  "docs",
  "errorStatus",
  "graceMs",
  "maxBodyBytes",
  "operatorTokens",
  "publicDescription",
  "publicReadiness",
  "rateLimit",
  "respondWithinMs",
  "waitUntil"
])

const problemsOf = (everbeat: unknown, options: unknown): ReadonlyArray<OptionProblem> => {
  const problems: Array<OptionProblem> = []
  const wrong = (option: string, given: unknown, expected: string): void => {
    problems.push({ option, given: given === null ? "null" : typeof given, expected })
  }
  if (typeof everbeat !== "object" || everbeat === null || !(ExtensionTypeId in everbeat)) {
    wrong("the instance", everbeat, "what createEverbeat returned")
  }
  if (typeof options !== "object" || options === null) {
    wrong("the options", options, "an object")
    return problems
  }
  const auth: unknown = "auth" in options ? options.auth : undefined
  const isAuth = typeof auth === "function" || (typeof auth === "object" && auth !== null && "verify" in auth)
  if (!isAuth) wrong("auth", auth, "tokens({ ... }), or a function that verifies a token")
  for (const [option, value] of Object.entries(options)) {
    if (!known.has(option)) wrong(option, value, `nothing: the options are ${[...known].join(", ")}`)
  }
  return problems
}
