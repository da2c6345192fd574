/** From a web `Response` to a response of node:http. */
import type { NodeRequest, NodeResponse } from "../NodeAdapter.ts"

/** HTTP/2 has no such headers, and node throws at them (RFC 9113, 8.2.2). */
const connectionHeaders = new Set(["connection", "keep-alive", "transfer-encoding"])

/** Whether nobody listens any more. Responses of HTTP/2 say so on their stream only. */
export const isGone = (response: NodeResponse): boolean =>
  response.destroyed === true || response.stream?.destroyed === true

/** `signal` tells that the client went away: after a reset, HTTP/2 reports neither "drain" nor another "close". */
export const writeResponse = async (
  request: NodeRequest,
  response: NodeResponse,
  answer: Response,
  signal: AbortSignal
): Promise<void> => {
  if (signal.aborted || isGone(response) || response.writableEnded) {
    await answer.body?.cancel()
    return
  }
  response.on("error", ignore) // the client went away: "close" says so as well
  response.statusCode = answer.status
  for (const [name, value] of answer.headers) {
    if (name === "set-cookie") continue
    if (request.httpVersionMajor >= 2 && connectionHeaders.has(name)) continue
    response.setHeader(name, value)
  }
  const cookies = answer.headers.getSetCookie()
  if (cookies.length > 0) response.setHeader("set-cookie", cookies)
  if (answer.body !== null) {
    // With its length, the body is there or about to be: head and body leave in one write. Events begin with the head.
    if (!answer.headers.has("content-length")) response.flushHeaders?.()
    await pump(answer.body, response, signal)
  }
  if (!isGone(response)) response.end()
  // What is left of the body flows into nothing: without that, a client that still sends would never read the answer.
  request.resume()
}

/** Without `pipeTo`, which makes a stream and a dozen promises of every answer. */
const pump = async (
  body: ReadableStream<Uint8Array>,
  response: NodeResponse,
  signal: AbortSignal
): Promise<void> => {
  const reader = body.getReader()
  const cancel = (): void => void reader.cancel().catch(ignore)
  signal.addEventListener("abort", cancel)
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done || signal.aborted) return
      if (!response.write(value)) await drained(response, signal)
    }
  } catch (error) {
    if (!signal.aborted) throw error // the source failed; that the client went away is no failure
  } finally {
    signal.removeEventListener("abort", cancel)
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
