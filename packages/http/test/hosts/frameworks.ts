/** Hosts with an adapter of their own, and Nest. */
import { FastifyAdapter, HonoAdapter, NodeAdapter } from "@everbeat/http"
import { createAdaptorServer } from "@hono/node-server"
import { Module } from "@nestjs/common"
import { NestFactory } from "@nestjs/core"
import fastify from "fastify"
import { Hono } from "hono"
import { createServer, Server } from "node:http"
import { closing, listening, type Mount, type Mounted } from "./mount.ts"
import { mountOf } from "./nodeHosts.ts"

const onFastify = async (app: ReturnType<typeof fastify>): Promise<Mounted> => {
  await app.listen({ port: 0, host: "127.0.0.1" })
  const address = app.server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  // Fastify ends the passes itself, when it is closed.
  return { port, dispose: async () => void (await app.close()), close: async () => void (await app.close()) }
}

const fastifyPlugin = mountOf("Fastify, plugin", "none", (handler, { basePath }) => {
  const app = fastify()
  void app.register(FastifyAdapter.toFastifyPlugin(handler), { prefix: `${basePath}/api` })
  void app.register(FastifyAdapter.toFastifyPlugin(handler), { prefix: "/stream" })
  return onFastify(app)
})

const fastifyRoute: Mount = {
  readsBodies: true,
  ...mountOf("Fastify, route of the host", "rebuilt", (handler, { basePath }) => {
    const app = fastify()
    app.all(`${basePath}/api/*`, FastifyAdapter.toFastifyHandler(handler))
    app.all("/stream/*", FastifyAdapter.toFastifyHandler(handler))
    app.addHook("preClose", async () => {
      await handler.dispose()
    })
    return onFastify(app)
  })
}

const honoApp = (
  handler: Parameters<typeof HonoAdapter.toHonoHandler>[0],
  { basePath, parser }: { readonly basePath: string; readonly parser: boolean }
): Hono => {
  const app = new Hono()
  if (parser) {
    app.use(async (context, next) => {
      await context.req.json().catch(() => undefined)
      await next()
    })
  }
  app.all(`${basePath}/api/*`, HonoAdapter.toHonoHandler(handler))
  app.all("/stream/*", HonoAdapter.toHonoHandler(handler))
  return app
}

const hono = mountOf("Hono, served by NodeAdapter", "rebuilt", (handler, options) => {
  const app = honoApp(handler, options)
  const node = NodeAdapter.toNodeHandler({ fetch: (request) => app.fetch(request) })
  return listening(createServer(node), handler.dispose)
})

const honoServer = mountOf("Hono, served by @hono/node-server", "rebuilt", (handler, options) => {
  const { fetch } = honoApp(handler, options)
  const server = createAdaptorServer({ fetch, overrideGlobalObjects: false })
  if (!(server instanceof Server)) throw new Error("no server of node:http")
  return listening(server, handler.dispose)
})

class AppModule {
  readonly name = "host"
}
Module({})(AppModule)

const nest = mountOf("Nest", "rebuilt", async (handler, { parser }) => {
  const app = await NestFactory.create(AppModule, { logger: false, bodyParser: false })
  if (parser) app.use((await import("express")).json())
  app.use(NodeAdapter.toNodeHandler(handler))
  await app.listen(0, "127.0.0.1")
  const server: Server = app.getHttpServer()
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return { port, dispose: handler.dispose, close: () => closing(server) }
})

export const frameworks: ReadonlyArray<Mount> = [fastifyPlugin, fastifyRoute, hono, honoServer, nest]
