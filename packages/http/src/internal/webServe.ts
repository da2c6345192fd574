/** One request of a host that writes web responses itself, such as Hono and Next. */
import { announceWrite, writeOf } from "./writes.ts"

/** Events are the one answer that is not complete when it is handed over: `dispose` waits until they are read. */
export const serveWeb = async (
  handler: { readonly fetch: (request: Request) => Response | Promise<Response> },
  request: Request
): Promise<Response> => {
  if (writeOf(request) !== undefined) return handler.fetch(request)
  let finish = (): void => {}
  announceWrite(
    request,
    new Promise((resolve) => {
      finish = resolve
    })
  )
  try {
    const response = await handler.fetch(request)
    if (!/^text\/event-stream\b/u.test(response.headers.get("content-type") ?? "") || response.body === null) {
      finish()
      return response
    }
    const { headers, status } = response
    return new Response(readTo(response.body.getReader(), finish), { status, headers })
  } catch (error) {
    finish()
    throw error
  }
}

const readTo = (
  reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
  finish: () => void
): ReadableStream<Uint8Array<ArrayBuffer>> =>
  new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (!done) return controller.enqueue(value)
        controller.close()
      } catch (error) {
        controller.error(error)
      }
      finish()
    },
    cancel(reason) {
      finish()
      return reader.cancel(reason)
    }
  }, { highWaterMark: 0 })
