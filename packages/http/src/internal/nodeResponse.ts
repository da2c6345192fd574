/** From a web `Response` to a response of node:http. */
import type { NodeRequest, NodeResponse } from "../NodeAdapter.ts"

/** HTTP/2 has no such headers, and node throws at them (RFC 9113, 8.2.2). */
const connectionHeaders = new Set(["connection", "keep-alive", "transfer-encoding"])

export const writeResponse = async (
  request: NodeRequest,
  response: NodeResponse,
  answer: Response
): Promise<void> => {
  if (response.destroyed || response.writableEnded) {
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
  if (answer.body !== null) await pump(answer.body, response)
  if (!response.destroyed) response.end()
  // What is left of the body flows into nothing: without that, a client that still sends would never read the answer.
  request.resume()
}

const pump = async (body: ReadableStream<Uint8Array>, response: NodeResponse): Promise<void> => {
  response.flushHeaders()
  const gone = new AbortController()
  const onClose = (): void => gone.abort()
  response.once("close", onClose)
  const sink = new WritableStream<Uint8Array>({
    write: (chunk) => response.write(chunk) ? undefined : drained(response)
  })
  try {
    await body.pipeTo(sink, { signal: gone.signal })
  } catch (error) {
    if (!gone.signal.aborted) throw error // the source failed; that the client went away is no failure
  } finally {
    response.off("close", onClose)
  }
}

const drained = (response: NodeResponse): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done)
      response.off("close", done)
      resolve()
    }
    response.on("drain", done)
    response.on("close", done)
  })

const ignore = (): void => {}
