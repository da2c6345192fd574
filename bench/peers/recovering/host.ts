/** The process of a workflow: `host.ts SYSTEM ROLE IDENTITY LEASE_SECONDS URL`. It tells its parent how far it is. */
import type { Options, Start } from "./survivor.ts"

/** What the parent is told. */
export type Told = "ready" | "second step"

const [system = "", role = "", identity = "", leaseSeconds = "", url = ""] = process.argv.slice(2)
const systems: Readonly<Record<string, () => Promise<{ readonly start: Start }>>> = {
  everbeat: () => import("./everbeat.ts"),
  dbos: () => import("./dbos.ts"),
  effectCluster: () => import("./effectCluster.ts"),
  openWorkflow: () => import("./openWorkflow.ts")
}

const tell = (what: Told): void => void process.send?.(what)
const load = systems[system]
if (load === undefined) throw new Error(`there is no system ${system}`)

const options: Options = {
  url,
  identity,
  role: role === "heir" ? "heir" : "first",
  leaseSeconds: Number(leaseSeconds),
  second: async () => {
    tell("second step")
    if (role !== "heir") await new Promise(() => {}) // until its process ends
  }
}
const { start } = await load()
const close = await start(options)
tell("ready")
process.on("SIGTERM", () => void close().then(() => process.exit(0)))
process.on("disconnect", () => process.exit(0))
