/** What the tests of this package share: pools and fresh schemas. */
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { Pool, type PoolConfig } from "pg"
import { inject } from "vitest"

export const url = (): string => inject("postgresUrl")

/** The same server behind a pooler: two connections for all, in transaction mode, without prepared statements. */
export const poolerUrl = (): string => inject("pgbouncerUrl")

export const freshSchema = (): string => `${inject("schemaPrefix")}_${randomUUID().slice(0, 8)}`

/** A pool of the host: it ends with the scope, never earlier. */
export const hostPool = (options: PoolConfig = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => new Pool({ connectionString: url(), ...options })),
    (pool) => Effect.promise(() => pool.end())
  )
