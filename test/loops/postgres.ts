/** A real PostgreSQL for tests of agent loops. */
import { PostgresStore } from "@everbeat/store-postgres"
import { randomUUID } from "node:crypto"
import { inject } from "vitest"
import type {} from "./servers.ts"

/** Where a fresh store is. */
export const freshStore = () => ({ url: inject("loopsUrl"), schema: `loops_${randomUUID().slice(0, 8)}` })

export const postgres = () => PostgresStore.layer(freshStore())
