import { FastifyAdapter } from "@everbeat/http"
import { createHandler, tokens } from "@everbeat/http/promise"
import fastify from "fastify"
import type { Dispatch } from "./Dispatch.ts"
import type { Running } from "./Running.ts"

/** Dispatch in Fastify: `close` disposes the handler, before it closes the server. */
export const serveFastify = async (dispatch: Dispatch, sha256: string): Promise<Running> => {
  const handler = createHandler(dispatch, { auth: tokens({ triage: sha256 }) })
  const app = fastify({ forceCloseConnections: true })
  app.register(FastifyAdapter.toFastifyPlugin(handler), { prefix: "/api/agents" })
  app.get("/runs", async () => {
    const { items } = await dispatch.runs.list({ limit: 10 })
    return items.map(({ status }) => status)
  })
  app.addHook("onClose", () => dispatch.dispose())
  return {
    name: "Fastify",
    url: await app.listen({ port: 0, host: "127.0.0.1" }),
    stop: () => app.close()
  }
}
