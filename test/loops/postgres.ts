/** A real PostgreSQL for tests of agent loops. */
import { PostgresStore } from "@everbeat/store-postgres"
import { randomUUID } from "node:crypto"
import { inject } from "vitest"
import type { TestProject } from "vitest/node"
import { startPostgres } from "../servers/postgres.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly loopsUrl: string
  }
}

/** Starts the server for a project. */
export const setUp = async (project: TestProject): Promise<() => Promise<void>> => {
  const server = await startPostgres()
  project.provide("loopsUrl", server.url)
  return server.stop
}

/** Where a fresh store is. */
export const freshStore = () => ({ url: inject("loopsUrl"), schema: `loops_${randomUUID().slice(0, 8)}` })

export const postgres = () => PostgresStore.layer(freshStore())
