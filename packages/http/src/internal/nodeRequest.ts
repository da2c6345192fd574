/** From a request of node:http to a web `Request`, or to the answer when there can be none. */
import type { NodeRequest } from "../NodeAdapter.ts"
import * as Problem from "../Problem.ts"
import { refuse } from "./refuse.ts"

export const toRequest = (request: NodeRequest, signal: AbortSignal): Request | Response => {
  const headers = headersOf(request)
  const method = request.method ?? "GET"
  if (/^(?:CONNECT|TRACE|TRACK)$/iu.test(method)) { // the constructor of `Request` throws at these
    const allow = ["GET", "HEAD", "POST"]
    return refuse({ method, headers }, new Problem.MethodNotAllowed({ allow, detail: `Use ${allow.join(" or ")}.` }))
  }
  const url = urlOf(request, headers)
  // Without these headers there is no body (RFC 9112, 6.3), whatever a parser left in `body`.
  const announced = Number(headers.get("content-length") ?? 0) > 0 || headers.has("transfer-encoding")
    || (request.httpVersionMajor >= 2 && !headers.has("content-length") && !request.readableEnded)
  if (method === "GET" || method === "HEAD" || !announced) return new Request(url, { method, headers, signal })

  if (!request.readableDidRead && !request.readableEnded) {
    return new Request(url, { method, headers, signal, body: streamOf(request), ...halfDuplex })
  }
  const body = rebuild(request, headers)
  if (body !== undefined) {
    for (const name of ["content-length", "transfer-encoding", "content-encoding"]) headers.delete(name)
    return new Request(url, { method, headers, signal, body })
  }
  // The body is gone. A request whose body is visibly used lets the handler say so.
  const used = new Request(url, { method, headers, signal, body: "gone" })
  void used.body?.cancel()
  return used
}

/** Demanded by the standard for streams and missing in the library's type of `RequestInit`. */
const halfDuplex: object = { duplex: "half" }

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

const urlOf = (request: NodeRequest, headers: Headers): string => {
  const scheme = "encrypted" in request.socket && request.socket.encrypted === true ? "https" : "http"
  const target = request.originalUrl ?? request.url ?? "/"
  const host = headers.get("host") ?? "localhost"
  // Concatenated, not resolved: a target such as `//host/path` is a path.
  if (target.startsWith("/")) {
    const url = `${scheme}://${host}${target}`
    return URL.canParse(url) ? url : `${scheme}://localhost${target}`
  }
  return /^https?:/iu.test(target) && URL.canParse(target) ? target : `${scheme}://${host}/`
}

const rebuild = (request: NodeRequest, headers: Headers): string | Uint8Array<ArrayBuffer> | undefined => {
  const { body, rawBody } = request
  for (const bytes of [rawBody, body]) {
    if (bytes instanceof Uint8Array) return new Uint8Array(bytes)
  }
  if (typeof rawBody === "string") return rawBody
  if (body === undefined) return undefined
  // A parser of JSON turned the text into its value; other parsers keep a content type that is refused later.
  return typeof body === "string" && !/json/iu.test(headers.get("content-type") ?? "") ? body : JSON.stringify(body)
}

/** Reads only what is asked for: an unread body stays in the socket. */
const streamOf = (request: NodeRequest): ReadableStream<Uint8Array> => {
  let started = false
  let detach = (): void => {}
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (!started) {
        started = true
        const onData = (chunk: unknown): void => {
          controller.enqueue(chunk as Uint8Array) // nobody sets an encoding on a body that was not read yet
          request.pause()
        }
        const onEnd = (): void => {
          detach()
          controller.close()
        }
        const onClose = (): void => {
          detach()
          controller.error(new DOMException("The client disconnected.", "AbortError"))
        }
        detach = () => {
          request.off("data", onData)
          request.off("end", onEnd)
          request.off("error", onClose)
          request.off("close", onClose)
        }
        request.on("data", onData)
        request.on("end", onEnd)
        request.on("error", onClose)
        request.on("close", onClose)
      }
      request.resume()
    },
    cancel() {
      detach()
    }
  }, { highWaterMark: 0 })
}
