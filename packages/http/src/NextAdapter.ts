/**
 * Mounts a fetch handler in the App Router of Next.
 *
 * Next is not imported.
 *
 * @since 0.1.0
 */

/**
 * A route handler of Next for each method.
 *
 * @category models
 * @since 0.1.0
 */
export interface NextRoutes {
  readonly GET: (request: Request) => Promise<Response>
  readonly HEAD: (request: Request) => Promise<Response>
  readonly POST: (request: Request) => Promise<Response>
  readonly PUT: (request: Request) => Promise<Response>
  readonly PATCH: (request: Request) => Promise<Response>
  readonly DELETE: (request: Request) => Promise<Response>
  readonly OPTIONS: (request: Request) => Promise<Response>
}

/**
 * Creates the exports of a `route.ts` from a fetch handler.
 *
 * **When to use**
 *
 * In `app/api/agents/[...everbeat]/route.ts`:
 * `export const { GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS } = NextAdapter.toNextRoutes(handler)`.
 * All methods are there so that the wrong one is answered with a problem, too.
 *
 * **Gotchas**
 *
 * In development Next evaluates a module again when it changes. Keep the
 * handler on `globalThis`, as one keeps a database client there. Where functions
 * are frozen after the answer, a pass must end before it: call without
 * `Prefer: respond-async`.
 *
 * **Example** (Exporting the routes)
 *
 * ```ts
 * import { NextAdapter } from "@everbeat/http"
 *
 * const handler = { fetch: async (request: Request) => new Response(request.method) }
 * const { POST } = NextAdapter.toNextRoutes(handler)
 *
 * const response = await POST(new Request("http://localhost/api/agents/triage/heartbeat", { method: "POST" }))
 * await response.text() // => "POST"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const toNextRoutes = (handler: {
  readonly fetch: (request: Request) => Response | Promise<Response>
}): NextRoutes => {
  const serve = async (request: Request): Promise<Response> => handler.fetch(request)
  return { GET: serve, HEAD: serve, POST: serve, PUT: serve, PATCH: serve, DELETE: serve, OPTIONS: serve }
}
