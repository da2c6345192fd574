/** From a request of node:http to what a handler looks at, or to the answer when there can be none. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type { NodeRequest } from "../NodeAdapter.ts"
import * as Problem from "../Problem.ts"
import { requestIdOf } from "./envelope.ts"
import type { Incoming } from "./exchange.ts"
import { isAnnounced, rebuild, streamOf } from "./nodeBody.ts"
import { urlOf } from "./nodeUrl.ts"
import { refuse } from "./refuse.ts"

export const incomingOf = (
  request: NodeRequest,
  parsed: unknown,
  signal: AbortSignal
): Incoming | HttpServerResponse => {
  const headers = headersOf(request)
  const method = request.method ?? "GET"
  if (/^(?:CONNECT|TRACE|TRACK)$/u.test(method)) { // the constructor of `Request` throws at these
    const allow = ["GET", "HEAD", "POST"]
    return refuse({ headers }, new Problem.MethodNotAllowed({ allow, detail: `Use ${allow.join(" or ")}.` }))
  }
  // The constructor would correct the case of some: past a guard that reads the method as it is.
  if (!/^[A-Z][A-Z0-9_-]*$/u.test(method)) return malformed(headers, "Send the method in upper case.")
  const scheme = "encrypted" in request.socket && request.socket.encrypted === true ? "https" : "http"
  const address = urlOf(request.originalUrl ?? request.url ?? "/", scheme, headers.get("host"))
  if ("refusal" in address) return malformed(headers, address.refusal)
  const asked = { method, url: address.url, headers, signal, body: null, bodyUsed: false }
  if (method === "GET" || method === "HEAD" || !isAnnounced(request, parsed, headers)) {
    return asked
  }
  if (!request.readableDidRead && !request.readableEnded) {
    return { ...asked, body: streamOf(request, signal) }
  }
  const body = rebuild(request.rawBody, parsed, headers)
  if (body !== undefined) {
    for (const name of ["content-length", "transfer-encoding", "content-encoding"]) headers.delete(name)
    return { ...asked, body: new Response(body).body }
  }
  // The body is gone. A request whose body is visibly used lets the handler say so.
  return { ...asked, bodyUsed: true }
}

/** For handlers that know nothing else. */
export const toWebRequest = ({ body, bodyUsed, headers, method, signal, url }: Incoming): Request => {
  if (!bodyUsed) return new Request(url, { method, headers, signal, body, ...halfDuplex })
  const used = new Request(url, { method, headers, signal, body: "gone" })
  void used.body?.cancel()
  return used
}

/** Demanded by the standard for streams and missing in the library's type of `RequestInit`. */
const halfDuplex: object = { duplex: "half" }

/** What is answered when the adapter itself fails. The log names it under the id that the answer carries. */
export const internalError = (request: NodeRequest, error: unknown): HttpServerResponse => {
  const sent = request.rawHeaders.findIndex((name, index) => index % 2 === 0 && /^x-request-id$/iu.test(name))
  const id = requestIdOf(sent === -1 ? undefined : request.rawHeaders[sent + 1])
  Effect.runSync(
    Effect.annotateLogs(
      Effect.logError(`The adapter failed at a request: ${Cause.pretty(Cause.die(error))}`),
      "requestId",
      id
    )
  )
  const headers = new Headers({ "x-request-id": id })
  return refuse({ headers }, new Problem.InternalError({}))
}

const malformed = (headers: Headers, detail: string): HttpServerResponse =>
  refuse({ headers }, new Problem.InvalidRequest({ detail }))

const headersOf = (request: NodeRequest): Headers => {
  const headers = new Headers()
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index] ?? ""
    const value = request.rawHeaders[index + 1] ?? ""
    if (name === ":authority") headers.set("host", value)
    else if (!name.startsWith(":")) headers.append(name, value)
  }
  return headers
}
