/** Counts requests, without anything that a caller can make up. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { ClientAbort } from "effect/http/HttpServerError"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Metric from "effect/Metric"
import type { Lookup } from "./addresses.ts"

const methods = new Set(["GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"])

const counters = new Map<string, ReturnType<typeof make>>()

const make = (route: string, method: string, status: string) =>
  Metric.counter("everbeat_http_requests_total", {
    description: "Answered HTTP requests",
    incremental: true,
    attributes: { route, method, status }
  })

export const requestCounter = (
  addresses: Lookup,
  request: { readonly method: string; readonly originalUrl: string },
  status: number
): ReturnType<typeof make> => {
  const route = addresses.pathOf(request) ?? "other"
  const method = methods.has(request.method) ? request.method : "other"
  const key = `${route} ${method} ${status}`
  let counter = counters.get(key)
  if (counter === undefined) counters.set(key, counter = make(route, method, String(status)))
  return counter
}

/** The method for spans: callers may make up others. */
export const methodOf = ({ method }: { readonly method: string }): string => methods.has(method) ? method : "_OTHER"

/** Counts what a route answered. Only an interruption answers nothing: of the client, or of the host that shuts down. */
export const makeCounted = (addresses: Lookup) =>
<E, R>(
  handled: Effect.Effect<HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse, E, R | HttpServerRequest> =>
  Effect.onExit(handled, (exit) =>
    Effect.flatMap(HttpServerRequest, (request) => {
      const status = Exit.isSuccess(exit)
        ? exit.value.status
        : exit.cause.reasons.some((reason) => reason.annotations.has(ClientAbort.key))
        ? 499
        : 503
      return Metric.update(requestCounter(addresses, request, status), 1)
    }))
