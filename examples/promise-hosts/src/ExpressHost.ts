import { createHandler, tokens } from "@everbeat/http/promise"
import express from "express"
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import type { Dispatch } from "./Dispatch.ts"
import type { Running } from "./Running.ts"

/** Dispatch in Express: the heartbeat beside the routes of the host. */
export const serveExpress = async (dispatch: Dispatch, sha256: string): Promise<Running> => {
  const handler = createHandler(dispatch, { auth: tokens({ triage: sha256 }) })
  const app = express()
  app.use("/api/agents", handler.node)
  app.use(express.json())
  app.get("/runs", async (_request, response) => {
    const { items } = await dispatch.runs.list({ limit: 10 })
    response.json(items.map(({ status }) => status))
  })
  const server = app.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  return {
    name: "Express",
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      await handler.dispose()
      server.close()
      server.closeAllConnections()
      await dispatch.dispose()
    }
  }
}
