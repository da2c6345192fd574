/**
 * Mounts a fetch handler in `node:http`, Express and Connect.
 *
 * @since 0.1.0
 */
import { serveNode } from "./internal/nodeServe.ts"

/**
 * What the adapter uses of an incoming message of `node:http`, `node:https` or
 * the compatibility API of `node:http2`, with what frameworks add to it.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeRequest {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly rawHeaders: ReadonlyArray<string>
  readonly httpVersionMajor: number
  readonly socket: object
  readonly readableDidRead: boolean
  readonly readableEnded: boolean
  readonly readableEncoding?: string | null | undefined
  readonly destroyed?: boolean | undefined
  /** Path before a router cut its mount path off: Express, Connect. */
  readonly originalUrl?: string | undefined
  /** What a body parser made of the body. */
  readonly body?: unknown
  /** The bytes that a body parser read, where the platform keeps them. */
  readonly rawBody?: unknown
  on(event: string, listener: (...args: Array<unknown>) => void): unknown
  off(event: string, listener: (...args: Array<unknown>) => void): unknown
  pause(): unknown
  resume(): unknown
}

/**
 * What the adapter uses of a server response.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeResponse {
  statusCode: number
  readonly headersSent: boolean
  readonly writableEnded: boolean
  readonly writableFinished?: boolean | undefined
  /** Not there in HTTP/2, which says so on its `stream`. */
  readonly destroyed?: boolean | undefined
  readonly stream?: { readonly destroyed: boolean } | undefined
  setHeader(name: string, value: string | ReadonlyArray<string>): unknown
  flushHeaders?(): void
  write(chunk: Uint8Array): boolean
  end(): unknown
  destroy(error?: Error): unknown
  once(event: string, listener: (...args: Array<unknown>) => void): unknown
  on(event: string, listener: (...args: Array<unknown>) => void): unknown
  off(event: string, listener: (...args: Array<unknown>) => void): unknown
}

/**
 * A request listener of `node:http` that is also a middleware of Express and
 * Connect. It never rejects.
 *
 * @category models
 * @since 0.1.0
 */
export type NodeHandler = (
  request: NodeRequest,
  response: NodeResponse,
  next?: (error?: unknown) => void
) => Promise<void>

/**
 * Creates a request listener from a fetch handler.
 *
 * **Details**
 *
 * The address is taken from `originalUrl`, so that the handler sees `/api/...`
 * wherever it is mounted. A body that a parser consumed is rebuilt from
 * `rawBody` or `body`; a body that nobody handed over is answered with the
 * problem `body-already-consumed`. A client that disconnects aborts the
 * request's signal. A body that is answered before it was read is discarded as
 * it comes in and never collected. An address with credentials, backslashes or
 * dot segments, and a method that is not in upper case, are answered with the
 * problem `invalid-request`.
 *
 * To stop, await `dispose` of the handler: it waits until the answers of this
 * adapter have left the process. Then close the server, and cut what is still
 * connected after a limit with `closeAllConnections`.
 *
 * **Gotchas**
 *
 * A body parser in front answers broken JSON itself, in its own format: mount
 * the handler before it. Every address below the mount path is answered, also
 * unknown ones: mount it on `/api/agents`, or after the host's own routes. Of a body of unknown
 * length a parser leaves `{}` also when it was empty: it counts as no payload.
 *
 * **Example** (Serving with node:http)
 *
 * ```ts
 * import { NodeAdapter } from "@everbeat/http"
 * import { createServer } from "node:http"
 *
 * const handler = { fetch: async () => new Response("hello") }
 * const server = createServer(NodeAdapter.toNodeHandler(handler))
 *
 * server.listening // => false
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const toNodeHandler = (handler: {
  readonly fetch: (request: Request) => Response | Promise<Response>
}): NodeHandler =>
(request, response, next) => serveNode(handler, request, response, { body: request.body, next })
