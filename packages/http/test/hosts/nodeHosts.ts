/** Hosts that are listeners of `node:http`. */
import { HeartbeatHandler, NodeAdapter } from "@everbeat/http"
import connect from "connect"
import express from "express"
import { createServer, type IncomingMessage } from "node:http"
import { listening, type Mount } from "./mount.ts"

interface Handler {
  readonly fetch: (request: Request) => Promise<Response>
  readonly dispose: () => Promise<void>
}

type Serve = (handler: Handler, options: { readonly basePath: string; readonly parser: boolean }) => ReturnType<
  Mount["serve"]
>

export const mountOf = (name: string, parsed: Mount["parsed"], serve: Serve): Mount => ({
  name,
  parsed,
  serve: (options) => serve(HeartbeatHandler.make(options), options),
  serveFetch: (fetch) => serve({ fetch, dispose: () => Promise.resolve() }, { basePath: "", parser: false })
})

const readJson = async (request: IncomingMessage): Promise<unknown> => {
  const chunks: Array<Uint8Array> = []
  for await (const chunk of request) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  return text === "" ? undefined : JSON.parse(text)
}

const nodeHttp = mountOf("node:http", "rebuilt", (handler, { parser }) => {
  const node = NodeAdapter.toNodeHandler(handler)
  return listening(
    createServer((request, response) => {
      if (!parser) return void node(request, response)
      void readJson(request).then(
        (body) => node(Object.assign(request, { body }), response),
        () => response.writeHead(400).end()
      )
    }),
    handler.dispose
  )
})

const middleware = mountOf("Express, app.use at the root", "rebuilt", (handler, { parser }) => {
  const app = express()
  if (parser) app.use(express.json())
  app.use(NodeAdapter.toNodeHandler(handler))
  return listening(createServer(app), handler.dispose)
})

const mounted = mountOf("Express, app.use below a path", "rebuilt", (handler, { basePath, parser }) => {
  const app = express()
  if (parser) app.use(express.json())
  app.use(`${basePath}/api`, NodeAdapter.toNodeHandler(handler))
  app.use("/stream", NodeAdapter.toNodeHandler(handler))
  return listening(createServer(app), handler.dispose)
})

const routed = mountOf("Express, app.all with a router", "rebuilt", (handler, { basePath, parser }) => {
  const app = express()
  const router = express.Router()
  if (parser) router.use(express.json())
  router.all("/*splat", NodeAdapter.toNodeHandler(handler))
  app.use(basePath === "" ? "/" : basePath, router)
  return listening(createServer(app), handler.dispose)
})

const onConnect = mountOf("Connect", "rebuilt", (handler, { basePath, parser }) => {
  const app = connect()
  if (parser) app.use(express.json())
  app.use(basePath === "" ? "/" : basePath, NodeAdapter.toNodeHandler(handler))
  return listening(createServer(app), handler.dispose)
})

export const nodeHosts: ReadonlyArray<Mount> = [nodeHttp, middleware, mounted, routed, onConnect]
