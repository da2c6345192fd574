import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Problem } from "../Problem.ts"
import { commonHeaders, requestIdOf } from "./envelope.ts"
import { respond } from "./respond.ts"

/** A problem as a web response, without the routes: they are not built, closed, or cannot take the request. */
export const refuse = (
  request: { readonly method: string; readonly headers: Headers },
  problem: Problem
): Response =>
  HttpServerResponse.toWeb(
    HttpServerResponse.setHeaders(
      Effect.runSync(respond(problem)),
      commonHeaders(requestIdOf(request.headers.get("x-request-id")))
    ),
    { withoutBody: request.method === "HEAD" }
  )
