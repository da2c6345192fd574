/** One request of node:http through a fetch handler. */
import type { NodeRequest, NodeResponse } from "../NodeAdapter.ts"
import { disconnected } from "./nodeBody.ts"
import { headersOf, internalError, toRequest } from "./nodeRequest.ts"
import { flushed, isGone, writeResponse } from "./nodeResponse.ts"
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
    if (incoming instanceof Request) announceWrite(incoming, flushed(response))
    const answer = incoming instanceof Request ? await handler.fetch(incoming) : incoming
    await writeResponse(request, response, answer, signal)
  } catch (error) {
    if (response.headersSent) response.destroy()
    else if (next !== undefined) next(error)
    else await writeResponse(request, response, internalError(request, error), signal).catch(() => response.destroy())
  } finally {
    if (response.writableEnded || isGone(response)) response.off("close", onClose)
  }
}

const requestOf = (request: NodeRequest, body: unknown, signal: AbortSignal): Request | Response => {
  try {
    return toRequest(request, body, headersOf(request), signal)
  } catch (error) {
    // Frameworks would answer a page, and with the error itself.
    return internalError(request, error)
  }
}
