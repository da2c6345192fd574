import type { TestProject } from "vitest/node"
import { startPostgres } from "../../../test/servers/postgres.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly postgresUrl: string
  }
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  const server = await startPostgres()
  project.provide("postgresUrl", server.url)
  return () => server.stop()
}
