/** One request through the routes: what `HttpEffect.toWebHandlerWith` does, but without a web response for known bytes. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import { ClientAbort } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Scope from "effect/Scope"
import { enveloped, requestIdOf } from "./envelope.ts"
import type { Incoming } from "./exchange.ts"

/** Takes the response of a request while its scope is still open. */
class Reply extends Context.Service<Reply, (response: HttpServerResponse.HttpServerResponse) => void>()(
  "@everbeat/http/internal/Reply"
) {}

type Answer = (
  request: Incoming,
  context: Context.Context<never>
) => Promise<HttpServerResponse.HttpServerResponse>

export const makeAnswer = (
  handled: Effect.Effect<
    HttpServerResponse.HttpServerResponse,
    never,
    HttpServerRequest.HttpServerRequest | Scope.Scope
  >
): Answer => {
  const routed = HttpEffect.toHandled(handled, (_, response) => Effect.map(Reply, (reply) => reply(response)))
  return (request, context) =>
    new Promise((resolve) => {
      const { signal } = request
      const asked = requestOf(request)
      const reply = (response: HttpServerResponse.HttpServerResponse): void => {
        // Outside of the routes nobody has set them yet.
        const whole = response.headers["x-request-id"] === undefined
          ? enveloped(response, requestIdOf(asked.headers["x-request-id"]))
          : response
        if (whole.body._tag !== "Stream") return resolve(whole)
        const withoutBody = request.method === "HEAD"
        // The scope of the request stays open until the stream was read.
        const streamed = withoutBody ? whole : HttpEffect.scopeTransferToStream(whole)
        resolve(HttpServerResponse.raw(HttpServerResponse.toWeb(streamed, { withoutBody, context, signal })))
      }
      const fiber = Effect.runForkWith(
        Context.add(Context.add(context, HttpServerRequest.HttpServerRequest, asked), Reply, reply)
      )(routed)
      if (fiber.pollUnsafe() !== undefined) return
      const onAbort = (): void => fiber.interruptUnsafe(undefined, ClientAbort.annotation)
      if (signal.aborted) return onAbort()
      signal.addEventListener("abort", onAbort, { once: true })
      fiber.addObserver(() => signal.removeEventListener("abort", onAbort))
    })
}

/** Of a web request the library reads what `Incoming` has; only forms, which the API does not have, need more. */
const requestOf = (request: Incoming): HttpServerRequest.HttpServerRequest =>
  HttpServerRequest.fromWeb(request as Request)
