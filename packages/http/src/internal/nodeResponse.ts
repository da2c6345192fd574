/** From an answer to a response of node:http. */
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { NodeRequest, NodeResponse } from "../NodeAdapter.ts"

/** HTTP/2 has no such headers, and node throws at them (RFC 9113, 8.2.2). */
const connectionHeaders = new Set(["connection", "keep-alive", "transfer-encoding"])

/** Whether nobody listens any more. Responses of HTTP/2 say so on their stream only. */
export const isGone = (response: NodeResponse): boolean =>
  response.destroyed === true || response.stream?.destroyed === true

/** What a handler of this package answers, and what those of others do. */
export type Answer = HttpServerResponse.HttpServerResponse | Response

const isOurs = HttpServerResponse.isHttpServerResponse

/** `signal` tells that the client went away: after a reset, HTTP/2 reports neither "drain" nor another "close". */
export const writeResponse = async (
  request: NodeRequest,
  response: NodeResponse,
  answer: Answer,
  signal: AbortSignal
): Promise<void> => {
  const gone = signal.aborted || isGone(response) || response.writableEnded
  const withoutBody = request.method === "HEAD"
  if (isOurs(answer) && answer.body._tag === "Uint8Array") {
    if (gone) return
    begin(request, response, answer.status, Object.entries(answer.headers))
    // Head and body leave in one write.
    if (!withoutBody) response.write(answer.body.body)
    return end(request, response)
  }
  const web = isOurs(answer) ? HttpServerResponse.toWeb(answer, { withoutBody }) : answer
  if (gone) await web.body?.cancel()
  else await writeWeb(request, response, web, signal)
}

const writeWeb = async (
  request: NodeRequest,
  response: NodeResponse,
  answer: Response,
  signal: AbortSignal
): Promise<void> => {
  begin(request, response, answer.status, answer.headers)
  const cookies = answer.headers.getSetCookie()
  if (cookies.length > 0) response.setHeader("set-cookie", cookies)
  if (answer.body !== null) {
    // With its length, the body is there or about to be: head and body leave in one write. Events begin with the head.
    if (!answer.headers.has("content-length")) response.flushHeaders?.()
    await pump(answer.body, response, signal)
  }
  end(request, response)
}

const begin = (
  request: NodeRequest,
  response: NodeResponse,
  status: number,
  headers: Iterable<readonly [string, string]>
): void => {
  response.on("error", ignore) // the client went away: "close" says so as well
  response.statusCode = status
  for (const [name, value] of headers) {
    if (name === "set-cookie") continue // several of them would be one
    if (request.httpVersionMajor >= 2 && connectionHeaders.has(name)) continue
    response.setHeader(name, value)
  }
}

const end = (request: NodeRequest, response: NodeResponse): void => {
  if (!isGone(response)) response.end()
  // What is left of the body flows into nothing: without that, a client that still sends would never read the answer.
  request.resume()
}

const pump = async (
  body: ReadableStream<Uint8Array>,
  response: NodeResponse,
  signal: AbortSignal
): Promise<void> => {
  const sink = new WritableStream<Uint8Array>({
    write: (chunk) => response.write(chunk) ? undefined : drained(response, signal)
  })
  try {
    await body.pipeTo(sink, { signal })
  } catch (error) {
    if (!signal.aborted) throw error // the source failed; that the client went away is no failure
  }
}

const drained = (response: NodeResponse, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done)
      signal.removeEventListener("abort", done)
      resolve()
    }
    response.on("drain", done)
    signal.addEventListener("abort", done)
    if (signal.aborted || isGone(response)) done()
  })

/** Resolves when the answer has left this process, or nobody waits for it. */
export const flushed = (response: NodeResponse): Promise<void> =>
  new Promise((resolve) => {
    if (response.writableFinished === true || isGone(response)) return resolve()
    response.once("finish", () => resolve())
    response.once("close", () => resolve())
  })

const ignore = (): void => {}
