/** Counts requests, without anything that a caller can make up. */
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
