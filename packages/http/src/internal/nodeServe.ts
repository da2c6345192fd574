/** One request of node:http through a fetch handler. */
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type { NodeRequest, NodeResponse } from "../NodeAdapter.ts"
import { exchangeOf, type Incoming } from "./exchange.ts"
import { disconnected } from "./nodeBody.ts"
import { incomingOf, internalError, toWebRequest } from "./nodeRequest.ts"
import { type Answer, flushed, isGone, writeResponse } from "./nodeResponse.ts"
import { announceWrite } from "./writes.ts"

interface Fetching {
  readonly fetch: (request: Request) => Response | Promise<Response>
}

interface Framework {
  /** What a body parser of the framework made of the body. */
  readonly body: unknown
  /** Takes over what nobody else can answer. */
  readonly next?: ((error?: unknown) => void) | undefined
}

export const serveNode = async (
  handler: Fetching,
  request: NodeRequest,
  response: NodeResponse,
  { body, next }: Framework
): Promise<void> => {
  const controller = new AbortController()
  const { signal } = controller
  // "close" before the answer was ended: the client went away.
  const onClose = (): void => {
    if (!response.writableEnded) controller.abort(disconnected())
  }
  response.once("close", onClose)
  // A middleware in front may have taken its time: then "close" was before.
  if (isGone(response) || (request.destroyed === true && !request.readableEnded)) onClose()
  try {
    const incoming = requestOf(request, body, signal)
    const answer = "url" in incoming ? await answerOf(handler, incoming, flushed(response)) : incoming
    await writeResponse(request, response, answer, signal)
  } catch (error) {
    if (response.headersSent) response.destroy()
    else if (next !== undefined) next(error)
    else await writeResponse(request, response, internalError(request, error), signal).catch(() => response.destroy())
  } finally {
    if (response.writableEnded || isGone(response)) response.off("close", onClose)
  }
}

const answerOf = async (
  handler: Fetching,
  incoming: Incoming,
  written: Promise<void>
): Promise<Answer> => {
  const exchange = exchangeOf(handler.fetch)
  if (exchange !== undefined) return exchange(incoming, written)
  const request = toWebRequest(incoming)
  announceWrite(request, written)
  return handler.fetch(request)
}

const requestOf = (
  request: NodeRequest,
  body: unknown,
  signal: AbortSignal
): Incoming | HttpServerResponse => {
  try {
    return incomingOf(request, body, signal)
  } catch (error) {
    // Frameworks would answer a page, and with the error itself.
    return internalError(request, error)
  }
}
