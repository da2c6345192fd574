/** The span of a request: named by its route, and without anything that may be a secret in the wrong place. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import type * as Predicate from "effect/Predicate"
import * as Tracer from "effect/Tracer"
import type { Lookup } from "./addresses.ts"
import { methodOf } from "./requestMetric.ts"

type Disabled = Predicate.Predicate<HttpServerRequest.HttpServerRequest>

/** Which requests get no span at all, where the spans of the API are its own: what the host has set up for the rest. */
const OwnSpans = Context.Reference<Disabled | undefined>("@everbeat/http/internal/OwnSpans", {
  defaultValue: () => undefined
})

/** Leaves the requests that are chosen to {@link makeTraced}, in place of the tracer of the server. */
export const ownSpans = (
  context: Context.Context<never>,
  chosen: Disabled
): Context.Context<never> => {
  const before = Context.get(context, HttpMiddleware.TracerDisabledWhen)
  return Context.make(HttpMiddleware.TracerDisabledWhen, (request) => chosen(request) || before(request)).pipe(
    Context.add(OwnSpans, before)
  )
}

/**
 * Effect's own tracer, which reads the address from the request in context: it gets one that is made for it. A span
 * holds that of a failure as a whole, too.
 */
export const makeTraced = (addresses: Lookup, basePath: string) => {
  const nameOf = (request: HttpServerRequest.HttpServerRequest): string => {
    const path = addresses.pathOf(request)
    // Without the names of agents and the ids of runs, which would make a name of every request.
    return path === undefined ? methodOf(request) : `${methodOf(request)} ${basePath}${path}`
  }
  return <E, R>(
    handled: Effect.Effect<HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest> =>
    Effect.withFiber((fiber): Effect.Effect<HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest> => {
      const disabled = fiber.getRef(OwnSpans)
      // Without a backend nobody sees a span.
      if (disabled === undefined || fiber.getRef(Tracer.Tracer) === Tracer.nativeTracer) return handled
      return Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
        const name = nameOf(request)
        const path = addresses.pathOf(request)
        const routed = path === undefined ? handled : Effect.flatMap(Effect.option(Effect.currentSpan), (span) => {
          if (Option.isSome(span)) span.value.attribute("http.route", `${basePath}${path}`)
          return handled
        })
        return HttpMiddleware.tracer(Effect.provideService(routed, HttpServerRequest.HttpServerRequest, request)).pipe(
          Effect.provideService(HttpServerRequest.HttpServerRequest, shownOf(request, addresses)),
          Effect.provideService(HttpMiddleware.SpanNameGenerator, () => name),
          Effect.provideService(HttpMiddleware.TracerDisabledWhen, disabled)
        )
      })
    })
}

const shownOf = (
  request: HttpServerRequest.HttpServerRequest,
  addresses: Lookup
): HttpServerRequest.HttpServerRequest => {
  const origin = Option.match(HttpServerRequest.toURL(request), {
    onNone: () => "http://localhost",
    onSome: ({ origin }) => origin
  })
  const url = `${origin}${addresses.shownPathOf(request)}${shownQuery(request.url)}`
  return HttpServerRequest.fromWeb(new Request(url, { method: methodOf(request) })).modify({
    headers: Headers.removeMany(request.headers, ["authorization", "cookie", "proxy-authorization"]),
    remoteAddress: request.remoteAddress
  })
}

const queryNames = new Set(["callerId", "cursor", "from", "kind", "limit", "status", "until"])

/** A token that somebody puts into the query against all advice must not end in a span, as a name neither. */
const shownQuery = (url: string): string => {
  const start = url.indexOf("?")
  if (start === -1) return ""
  const shown = [...new URLSearchParams(url.slice(start).replace(/#.*$/su, ""))].flatMap(([name, value]) =>
    queryNames.has(name)
      ? [[name, name === "limit" && /^\d{1,3}$/u.test(value) ? value : "REDACTED"]]
      : []
  )
  return shown.length === 0 ? "" : `?${new URLSearchParams(shown)}`
}
