import * as Effect from "effect/Effect"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Problem } from "../Problem.ts"
import { enveloped, requestIdOf } from "./envelope.ts"
import { respond } from "./respond.ts"

/** A problem as a response, without the routes: they are not built, closed, or cannot take the request. */
export const refuse = (
  request: { readonly headers: Headers },
  problem: Problem
): HttpServerResponse.HttpServerResponse =>
  enveloped(Effect.runSync(respond(problem)), requestIdOf(request.headers.get("x-request-id")))
