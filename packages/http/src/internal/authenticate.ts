/** Authentication, then the comparison with the address: before anything is looked up or read. */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { AgentAuth, AuthRequest } from "../AgentAuth.ts"
import { AgentPrincipal, type Principal, type Scope } from "../AgentPrincipal.ts"
import { verify } from "../AgentToken.ts"
import { AnyToken, Authorization } from "../EverbeatApi.ts"
import * as Problem from "../Problem.ts"
import { pathnameOf } from "./addresses.ts"
import type { Resolved } from "./options.ts"
import { isPrincipal } from "./principal.ts"
import { retryAfterSeconds } from "./problemOf.ts"
import { respond } from "./respond.ts"

/** Spaces and control characters make no token; nor does nothing. */
const tokenPattern = /^[\x21-\x7e]+$/u

/** What an endpoint asks of a token, by the endpoint's identifier. */
const scopes: Readonly<Record<string, Scope>> = {
  heartbeat: "heartbeat",
  listRuns: "read",
  getRun: "read",
  listCheckpoints: "read",
  getCheckpoint: "read",
  cancelRun: "resume",
  resumeCheckpoint: "resume",
  discardCheckpoint: "resume"
}

/** A host whose verification hangs does not collect requests. */
const verifyLimit = "10 seconds"

/** Hosts without types may answer anything; what is stored and compared is checked. */
const isAnswer = (answer: unknown): answer is Principal | null | undefined =>
  answer === null || answer === undefined || isPrincipal(answer)

const malformed = "It answered no principal: { agentName, tokenId, scopes? } with a tokenId that is not empty and the "
  + "scopes 'heartbeat', 'read' and 'resume', or null."

/** Who a token stands for, whatever the address is. */
const identify = <R>({ verify }: AgentAuth<R>, services: Context.Context<R>) =>
  Effect.fnUntraced(function*(
    credential: Redacted.Redacted,
    agentName: string
  ): Effect.fn.Return<Principal, Problem.Problem, HttpServerRequest.HttpServerRequest> {
    const request = describe(yield* HttpServerRequest.HttpServerRequest, agentName)
    const token = Redacted.value(credential)
    if (token === "") return yield* missing
    if (!tokenPattern.test(token)) return yield* invalid
    const principal = yield* Effect.suspend(() => verify(credential, request)).pipe(
      Effect.provideContext(services),
      Effect.timeoutOrElse({
        duration: verifyLimit,
        orElse: () => Effect.fail(new Error(`It did not answer within ${verifyLimit}.`))
      }),
      Effect.filterOrFail(isAnswer, () => new TypeError(malformed)),
      // Whatever the host's code says may quote the token. An interruption that arrives here is its own: one of
      // the request passes by.
      Effect.catchCause((cause) => Effect.andThen(logFailure(cause, token), unavailable))
    )
    return principal ?? (yield* invalid)
  })

export const layerAuthorization = <R>(auth: AgentAuth<R>): Layer.Layer<Authorization, never, R> =>
  Layer.effect(
    Authorization,
    Effect.map(Effect.context<R>(), (services) => {
      const identified = identify(auth, services)
      const authenticate = Effect.fnUntraced(function*(
        credential: Redacted.Redacted,
        endpoint: string
      ): Effect.fn.Return<Principal, Problem.Problem, HttpServerRequest.HttpServerRequest | HttpRouter.RouteContext> {
        const { agentName = "" } = yield* HttpRouter.params
        const principal = yield* identified(credential, agentName)
        const granted: ReadonlyArray<Scope> | null | undefined = principal.scopes
        if (principal.agentName !== agentName) return yield* new Problem.WrongAgent({})
        const scope = scopes[endpoint]
        if (scope !== undefined && granted !== undefined && granted !== null && !granted.includes(scope)) {
          return yield* new Problem.InsufficientScope({
            scope,
            detail: `Use a token of this agent with the scope '${scope}'.`
          })
        }
        return principal
      })

      return Authorization.of({
        agentToken: (httpEffect, { credential, endpoint }) =>
          Effect.matchEffect(authenticate(credential, endpoint.identifier), {
            onSuccess: (principal) => Effect.provideService(httpEffect, AgentPrincipal, principal),
            onFailure: respond
          })
      })
    })
  )

type Known<R> = Pick<Resolved<R>, "auth" | "operatorTokens">

/** A token of an operator, or of any agent. */
const anyToken = <R>({ auth, operatorTokens }: Known<R>, services: Context.Context<R>) => {
  const identified = identify(auth, services)
  return Effect.fnUntraced(function*(credential: Redacted.Redacted) {
    if (!(yield* isOperator(credential, operatorTokens))) yield* identified(credential, "")
  })
}

/** For probes. */
export const layerAnyToken = <R>(
  options: Known<R> & Pick<Resolved<R>, "publicReadiness">
): Layer.Layer<AnyToken, never, R> =>
  Layer.effect(
    AnyToken,
    Effect.map(Effect.context<R>(), (services) => {
      const known = anyToken(options, services)
      return AnyToken.of({
        agentToken: (httpEffect, { credential }) =>
          options.publicReadiness
            ? httpEffect
            : Effect.matchEffect(known(credential), { onSuccess: () => httpEffect, onFailure: respond })
      })
    })
  )

/** For what describes the API: it is no endpoint of it. */
export const makeRequireAny = <R>(options: Known<R>) =>
  Effect.map(Effect.context<R>(), (services) => {
    const known = anyToken(options, services)
    return <E, S>(
      described: Effect.Effect<HttpServerResponse, E, S>
    ): Effect.Effect<HttpServerResponse, E, S | HttpServerRequest.HttpServerRequest> =>
      Effect.flatMap(credentialOf, (credential) =>
        Effect.matchEffect(known(credential), { onSuccess: () => described, onFailure: respond }))
  })

const isOperator = (credential: Redacted.Redacted, digests: ReadonlyArray<string>): Effect.Effect<boolean> =>
  digests.length === 0 || Redacted.value(credential) === "" ? Effect.succeed(false) : verify(credential, digests)

/** For what shows all agents: a token of an operator and no other. */
export const requireOperator = Effect.fnUntraced(function*(
  digests: ReadonlyArray<string>
): Effect.fn.Return<void, Problem.Unauthorized, HttpServerRequest.HttpServerRequest> {
  const credential = yield* credentialOf
  if (Redacted.value(credential) === "") return yield* missing
  if (!(yield* isOperator(credential, digests))) return yield* invalid
})

/** The token of a request to an address that is no endpoint; empty without one. */
const credentialOf = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => {
  const [, token = ""] = /^bearer +([\x21-\x7e]+)$/iu.exec(headers["authorization"] ?? "") ?? []
  return Redacted.make(token)
})

const describe = (request: HttpServerRequest.HttpServerRequest, agentName: string): AuthRequest => {
  const { authorization: _, cookie: _cookie, "proxy-authorization": _proxy, ...headers } = request.headers
  return {
    method: request.method,
    path: pathnameOf(request.originalUrl),
    agentName,
    headers
  }
}

const logFailure = (cause: Cause.Cause<unknown>, token: string): Effect.Effect<void> =>
  Effect.logError(`The verification of a token failed: ${redact(Cause.pretty(cause), token)}`)

const redact = (text: string, token: string): string =>
  text.replaceAll(token, "<redacted>").replaceAll(encodeURIComponent(token), "<redacted>")

const missing = new Problem.Unauthorized({
  reason: "missing",
  detail: "Send the agent's token as 'Authorization: Bearer <token>'."
})

const unavailable = Effect.fail(
  new Problem.AuthUnavailable({ detail: "Repeat after a few seconds.", retryAfterSeconds })
)

const invalid = new Problem.Unauthorized({
  reason: "invalid",
  detail: "The token is not valid here. Ask the operator of this host for a new one."
})
