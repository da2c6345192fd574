/** The App Router of Next, in development, in this process. */
import { NextAdapter } from "@everbeat/http"
import type * as Next from "next"
import { createServer } from "node:http"
import { createRequire } from "node:module"
import { join } from "node:path"
import { listening, type Mount } from "./mount.ts"
import { mountOf } from "./nodeHosts.ts"

// Its types and its module disagree about the default export.
const next: (typeof Next)["default"]["default"] = createRequire(import.meta.url)("next")

const key = Symbol.for("@everbeat/http/test/next")

let started: Promise<ReturnType<ReturnType<typeof next>["getRequestHandler"]>> | undefined

/** Next is started once: its routes look up the handler at each request, and it watches files until the process ends. */
const start = async () => {
  process.env["NEXT_TELEMETRY_DISABLED"] = "1"
  const app = next({
    dev: true,
    dir: join(import.meta.dirname, "next"),
    quiet: true
  })
  await app.prepare()
  return app.getRequestHandler()
}

export const nextHost: Mount = mountOf("Next, App Router", "told", async (handler, { parser }) => {
  const serve = await (started ??= start())
  const fetch = async (request: Request): Promise<Response> => {
    if (parser) await request.json()
    return handler.fetch(request)
  }
  Object.assign(globalThis, { [key]: NextAdapter.toNextRoutes({ fetch }) })
  return listening(createServer((request, response) => void serve(request, response)), handler.dispose)
})
