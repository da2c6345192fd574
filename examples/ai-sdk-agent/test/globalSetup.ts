import type { TestProject } from "vitest/node"
import { startPostgres } from "../../../test/servers/postgres.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** The server that the example is tested on. */
    readonly releaseStore: string
  }
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  const server = await startPostgres()
  project.provide("releaseStore", server.url)
  return () => server.stop()
}
