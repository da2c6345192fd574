/** The body of a request of node:http: read from the stream, or rebuilt from what a parser left. */
import type { NodeRequest } from "../NodeAdapter.ts"

/** Without an announcement there is no body (RFC 9112, 6.3), whatever a parser left in `body`. */
export const isAnnounced = (request: NodeRequest, parsed: unknown, headers: Headers): boolean =>
  Number(headers.get("content-length") ?? 0) > 0 || headers.has("transfer-encoding")
  || (request.httpVersionMajor >= 2 && !headers.has("content-length")
    && (!request.readableEnded || parsed !== undefined))

/** What a parser consumed; nothing when it did not hand it over. */
export const rebuild = (
  rawBody: unknown,
  body: unknown,
  headers: Headers
): string | Uint8Array<ArrayBuffer> | undefined => {
  for (const bytes of [rawBody, body]) {
    if (bytes instanceof Uint8Array) return new Uint8Array(bytes)
  }
  if (typeof rawBody === "string") return rawBody
  if (body === undefined) return undefined
  // Parsers make `{}` of a body of unknown length that turned out to be empty.
  if (!headers.has("content-length") && isEmptyObject(body)) return ""
  // A parser of JSON turned the text into its value; other parsers keep a content type that is refused later.
  return typeof body === "string" && isText(body, headers) ? body : JSON.stringify(body)
}

const isEmptyObject = (body: unknown): boolean =>
  typeof body === "object" && body !== null && !Array.isArray(body) && Object.keys(body).length === 0

/** Whether a string is the text of the body, and not the string that the text stood for. */
const isText = (body: string, headers: Headers): boolean => {
  if (body === "" && !headers.has("content-length")) return true
  if (!/json/iu.test(headers.get("content-type") ?? "")) return true
  // The text of a string is longer than the string: it has quotes.
  const length = headers.get("content-length")
  if (length !== null && !headers.has("content-encoding")) {
    return new TextEncoder().encode(body).byteLength === Number(length)
  }
  try {
    JSON.parse(body)
    return true
  } catch {
    return false
  }
}

/** Reads only what is asked for: an unread body stays in the socket. */
export const streamOf = (request: NodeRequest, signal: AbortSignal): ReadableStream<Uint8Array> => {
  let started = false
  let detach = (): void => {}
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      // "close" was before: nothing would tell that the rest does not come.
      if (signal.aborted || (request.destroyed === true && !request.readableEnded)) {
        detach()
        controller.error(disconnected())
        return
      }
      if (!started) {
        started = true
        const onData = (chunk: unknown): void => {
          request.pause()
          if (chunk instanceof Uint8Array) controller.enqueue(chunk)
          else if (typeof chunk === "string" && /^utf-?8$/iu.test(request.readableEncoding ?? "")) {
            controller.enqueue(new TextEncoder().encode(chunk))
          } else {
            detach()
            controller.error(new TypeError("The body was given an encoding that is not UTF-8."))
          }
        }
        const onEnd = (): void => {
          detach()
          controller.close()
        }
        const onClose = (): void => {
          detach()
          controller.error(disconnected())
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

export const disconnected = (): DOMException => new DOMException("The client disconnected.", "AbortError")
