/** The App Router of Next, in development, in this process. */
import { NextAdapter } from "@everbeat/http"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { createRequire } from "node:module"
import { join } from "node:path"
import { installNext, nextFolder } from "./installNext.ts"
import { listening, type Mount } from "./mount.ts"
import { mountOf } from "./nodeHosts.ts"

type Serve = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/** What the test uses of Next: it is not there when types are checked. */
type Next = (options: { readonly dev: boolean; readonly dir: string; readonly quiet: boolean }) => {
  readonly prepare: () => Promise<void>
  readonly getRequestHandler: () => Serve
}

const key = Symbol.for("@everbeat/http/test/next")

let started: Promise<Serve> | undefined

/** Next is started once: its routes look up the handler at each request, and it watches files until the process ends. */
const start = async () => {
  process.env["NEXT_TELEMETRY_DISABLED"] = "1"
  const next: Next = createRequire(join(nextFolder, "package.json"))("next")
  const app = next({ dev: true, dir: nextFolder, quiet: true })
  await app.prepare()
  return app.getRequestHandler()
}

const mount = mountOf("Next, App Router", "told", async (handler, { parser }) => {
  const serve = await (started ??= start())
  const fetch = async (request: Request): Promise<Response> => {
    if (parser) await request.json()
    return handler.fetch(request)
  }
  Object.assign(globalThis, { [key]: NextAdapter.toNextRoutes({ fetch }) })
  return listening(createServer((request, response) => void serve(request, response)), handler.dispose)
})

export const nextHost: Mount = { ...mount, prepare: installNext }
