/**
 * Mounts a fetch handler in Fastify.
 *
 * Fastify is not imported: its types are described by what the adapter uses.
 *
 * @since 0.1.0
 */
import { serveNode } from "./internal/nodeServe.ts"
import type { NodeRequest, NodeResponse } from "./NodeAdapter.ts"

/**
 * What the adapter uses of a request of Fastify.
 *
 * @category models
 * @since 0.1.0
 */
export interface FastifyRequest {
  readonly raw: NodeRequest
  readonly body?: unknown
}

/**
 * What the adapter uses of a reply of Fastify.
 *
 * @category models
 * @since 0.1.0
 */
export interface FastifyReply {
  readonly raw: NodeResponse
  hijack(): unknown
  getHeaders(): Readonly<Record<string, number | string | ReadonlyArray<string> | undefined>>
}

/**
 * What the adapter uses of an instance of Fastify.
 *
 * @category models
 * @since 0.1.0
 */
export interface FastifyInstance {
  removeAllContentTypeParsers(): unknown
  addContentTypeParser(
    contentType: string,
    parser: (request: FastifyRequest, payload: unknown, done: (error: Error | null, body?: unknown) => void) => void
  ): unknown
  setErrorHandler(
    handler: (error: { readonly code?: string }, request: FastifyRequest, reply: FastifyReply) => void | Promise<void>
  ): unknown
  all(path: string, handler: FastifyHandler): unknown
  addHook(name: "preClose", hook: (done: () => void) => void): unknown
}

/**
 * A route handler of Fastify.
 *
 * @category models
 * @since 0.1.0
 */
export type FastifyHandler = (request: FastifyRequest, reply: FastifyReply) => Promise<void>

/**
 * A plugin of Fastify. It is encapsulated: the parsers and routes of the host
 * stay as they are.
 *
 * @category models
 * @since 0.1.0
 */
export type FastifyPlugin = (instance: FastifyInstance, options: unknown, done: () => void) => void

/**
 * What the adapter mounts: a `HeartbeatHandler`, or any fetch handler.
 *
 * @category models
 * @since 0.1.0
 */
export interface Handler {
  readonly fetch: (request: Request) => Response | Promise<Response>
  readonly dispose?: (() => Promise<void>) | undefined
}

/**
 * Options of the plugin.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Whether `close` of the Fastify instance disposes the handler. Say `false`
   * when several servers share it.
   *
   * @default true
   */
  readonly disposeOnClose?: boolean | undefined
}

/**
 * Creates a plugin from a fetch handler, which answers everything below the
 * prefix that it is registered with.
 *
 * **Details**
 *
 * Fastify parses no body for it, so that broken JSON is answered with a problem
 * like everything else. Hooks of the host run before it, and headers that they
 * set on the reply are sent. `close` of the instance disposes the handler before
 * it closes the server, so that passes in flight end first.
 *
 * **Gotchas**
 *
 * The prefix is only where the handler is mounted. The handler sees the whole
 * address: what is before `/api` is its `basePath`. While Fastify closes, it
 * answers new requests itself, with 503 in its own format.
 *
 * **Example** (Registering the plugin)
 *
 * ```ts
 * import { FastifyAdapter } from "@everbeat/http"
 * import fastify from "fastify"
 *
 * const handler = { fetch: async (request: Request) => new Response(new URL(request.url).pathname) }
 * const app = fastify()
 * app.register(FastifyAdapter.toFastifyPlugin(handler), { prefix: "/api/agents" })
 *
 * const response = await app.inject("/api/agents/triage/runs")
 * response.body // => "/api/agents/triage/runs"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const toFastifyPlugin =
  (handler: Handler, { disposeOnClose = true }: Options = {}): FastifyPlugin => (instance, _options, done) => {
    const serve = toFastifyHandler(handler)
    instance.removeAllContentTypeParsers()
    instance.addContentTypeParser("*", (_request, _payload, next) => next(null))
    // Without a parser only the content type itself can be refused; what else fails is of the host's own hooks.
    instance.setErrorHandler((error, request, reply) => {
      if (error.code?.startsWith("FST_ERR_CTP_") === true) return serve(request, reply)
      throw error
    })
    instance.all("/*", serve)
    if (disposeOnClose) {
      instance.addHook("preClose", (next) => {
        // A value, or what failed, would fail the closing of the host.
        void Promise.resolve(handler.dispose?.()).then(() => next(), () => next())
      })
    }
    done()
  }

/**
 * Creates a route handler from a fetch handler, for hosts that add the routes
 * themselves.
 *
 * **Details**
 *
 * A body that a parser of Fastify consumed is rebuilt from `request.body`.
 *
 * **Gotchas**
 *
 * Fastify answers broken JSON itself, in its own format: prefer
 * {@link toFastifyPlugin}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const toFastifyHandler = (handler: Handler): FastifyHandler => (request, reply) => {
  // Hijacked, Fastify writes nothing: what the hooks of the host have set would be lost.
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) reply.raw.setHeader(name, typeof value === "number" ? String(value) : value)
  }
  reply.hijack()
  return serveNode(handler, request.raw, reply.raw, { body: request.body })
}
