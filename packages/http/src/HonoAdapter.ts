/**
 * Mounts a fetch handler in Hono.
 *
 * Hono is not imported: its types are described by what the adapter uses.
 *
 * @since 0.1.0
 */
import { announceWrite, writeOf } from "./internal/writes.ts"

/**
 * What the adapter uses of a context of Hono.
 *
 * @category models
 * @since 0.1.0
 */
export interface HonoContext {
  readonly req: {
    readonly raw: Request
    /** Answers the cached body when another middleware has read it. */
    text(): Promise<string>
  }
}

/**
 * A handler of Hono.
 *
 * @category models
 * @since 0.1.0
 */
export type HonoHandler = (context: HonoContext) => Promise<Response>

/**
 * Creates a handler of Hono from a fetch handler.
 *
 * **Details**
 *
 * A body that a middleware read with `context.req.json()` or `text()` is taken
 * from Hono's cache. A body that was read from `context.req.raw` is lost, and
 * answered with the problem `body-already-consumed`.
 *
 * **Gotchas**
 *
 * `app.mount` cuts the path: use `app.all`. On Node.js,
 * `NodeAdapter.toNodeHandler(app)` serves the Hono application and lets
 * `dispose` wait until the answers are written.
 *
 * **Example** (Mounting below `/api/agents`)
 *
 * ```ts
 * import { HonoAdapter } from "@everbeat/http"
 * import { Hono } from "hono"
 *
 * const handler = { fetch: async (request: Request) => new Response(new URL(request.url).pathname) }
 * const app = new Hono()
 * app.all("/api/agents/*", HonoAdapter.toHonoHandler(handler))
 *
 * const response = await app.request("/api/agents/triage/runs")
 * await response.text() // => "/api/agents/triage/runs"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const toHonoHandler = (handler: {
  readonly fetch: (request: Request) => Response | Promise<Response>
}): HonoHandler =>
async ({ req }) => {
  const { raw } = req
  return handler.fetch(raw.bodyUsed ? await rebuilt(req) : raw)
}

// internal

const rebuilt = async (req: HonoContext["req"]): Promise<Request> => {
  const { raw } = req
  const body = await req.text().catch(() => undefined)
  if (body === undefined) return raw // The handler says that the body is lost.
  const headers = new Headers(raw.headers)
  for (const name of ["content-length", "transfer-encoding", "content-encoding"]) headers.delete(name)
  const request = new Request(raw.url, { method: raw.method, headers, signal: raw.signal, body })
  const written = writeOf(raw)
  if (written !== undefined) announceWrite(request, written)
  return request
}
