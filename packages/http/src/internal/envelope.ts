/** What every response has in common, whatever became of the request. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Problem from "../Problem.ts"
import { respond } from "./respond.ts"

const requestIdPattern = /^[\w.-]{1,128}$/u

export const requestIdOf = (sent: string | null | undefined): string =>
  typeof sent === "string" && requestIdPattern.test(sent) ? sent : crypto.randomUUID()

const commonHeaders = (requestId: string): Record<string, string> => ({
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "x-request-id": requestId
})

/** The response with the common headers. What a route said of itself stays: events are not to be transformed either. */
export const enveloped = (
  response: HttpServerResponse.HttpServerResponse,
  requestId: string
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.setHeaders(response, { ...commonHeaders(requestId), ...response.headers })

/**
 * The router takes a semicolon in the path for the end of the path. Nobody else does: a guard in front would have seen
 * another address than the one that is served.
 */
const hasSemicolon = (url: string): boolean => {
  const at = url.indexOf(";")
  if (at === -1) return false
  const query = url.indexOf("?")
  return query === -1 || at < query
}

/**
 * Turns defects into a problem, adds the common headers and names the request
 * in the log. An interruption passes: whoever interrupted knows the answer.
 */
export const envelope = <E, R>(
  handled: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest> =>
  Effect.flatMap(HttpServerRequest, (request) => {
    const requestId = requestIdOf(request.headers["x-request-id"])
    return (hasSemicolon(request.originalUrl) ? respond(new Problem.RouteNotFound({})) : handled).pipe(
      Effect.catchCause((cause) =>
        Cause.hasInterrupts(cause) ? Effect.failCause(cause) : Effect.andThen(
          Effect.logError(`A request ended with a defect: ${Cause.pretty(cause)}`),
          respond(new Problem.InternalError({}))
        )
      ),
      Effect.map((response) => enveloped(response, requestId)),
      Effect.annotateLogs("requestId", requestId)
    )
  })
