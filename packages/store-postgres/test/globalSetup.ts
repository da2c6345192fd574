import { randomUUID } from "node:crypto"
import { Client } from "pg"
import type { TestProject } from "vitest/node"
import { startPgBouncer } from "../../../test/servers/pgbouncer.ts"
import { startPostgres } from "../../../test/servers/postgres.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly postgresUrl: string
    /** The same server behind a pooler in transaction mode that keeps no prepared statements. */
    readonly pgbouncerUrl: string
    /** Every schema of this run of the tests begins with it. */
    readonly schemaPrefix: string
  }
}

/** A server that was given is left as it was found. */
const dropSchemas = async (url: string, prefix: string): Promise<void> => {
  const client = new Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query<{ text: string }>(
    "select format('drop schema %I cascade', nspname) as text from pg_namespace where starts_with(nspname, $1)",
    [prefix]
  )
  for (const { text } of rows) await client.query(text) // oxlint-disable-line eslint/no-await-in-loop -- one connection
  await client.end()
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  const server = await startPostgres()
  const pooler = await startPgBouncer(server.url)
  const prefix = `test_${randomUUID().slice(0, 8)}`
  project.provide("postgresUrl", server.url)
  project.provide("pgbouncerUrl", pooler.url)
  project.provide("schemaPrefix", prefix)
  return async () => {
    await pooler.stop()
    if (!server.isPrivate) await dropSchemas(server.url, prefix)
    await server.stop()
  }
}
