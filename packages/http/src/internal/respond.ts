import * as Effect from "effect/Effect"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Problem } from "../Problem.ts"

/** The only way a problem becomes a response: its body, and the headers that belong to it. */
export const respond = (problem: Problem): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.map(HttpServerRespondable.toResponse(problem), HttpServerResponse.setHeaders(headersOf(problem)))

/** The body of a problem, for places that are no response of their own. */
export const problemJson = (problem: Problem): unknown => {
  const { body } = Effect.runSync(HttpServerRespondable.toResponse(problem))
  return body._tag === "Uint8Array" ? JSON.parse(new TextDecoder().decode(body.body)) : undefined
}

const headersOf = (problem: Problem): Record<string, string> => {
  if ("retryAfterSeconds" in problem) return { "retry-after": String(problem.retryAfterSeconds) }
  switch (problem._tag) {
    case "Unauthorized":
      return { "www-authenticate": `${realm}${problem.reason === "invalid" ? `, error="invalid_token"` : ""}` }
    case "InsufficientScope":
      return { "www-authenticate": `${realm}, error="insufficient_scope", scope="${problem.scope}"` }
    case "PassFailed":
      return { "everbeat-status": problem.report.status, "everbeat-run-id": problem.runId }
    case "MethodNotAllowed":
      return { allow: problem.allow.join(", ") }
    default:
      return {}
  }
}

const realm = `Bearer realm="everbeat"`
