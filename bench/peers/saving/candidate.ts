/** Whoever saves the messages of a run after each turn. */
import { Effect } from "effect"
import type { Pool, Redis } from "../../support/drivers.ts"
import type { Sent } from "../../support/servers.ts"

/** A message as a provider of models has it. */
export interface Message {
  readonly role: string
  readonly content?: unknown
}

/** One run at a time, whose history grows. */
export interface Candidate {
  readonly name: string
  /** Its saves take longer as the run grows: of each round it does only the first ones. */
  readonly grows: boolean
  /** Begins another run that has these messages already, in one write. */
  readonly begin: (history: ReadonlyArray<Message>) => Effect.Effect<unknown, unknown>
  /** The save, from the messages to the answer of the store. What is done before it runs is not measured. */
  readonly save: (turn: ReadonlyArray<Message>) => Effect.Effect<unknown, unknown>
  /** Reads the newest run as messages. */
  readonly load: Effect.Effect<number, unknown>
  /** Absent when nothing is sent. */
  readonly sent?: () => Sent
  /** Bytes that the server holds, all runs together. */
  readonly stored?: Effect.Effect<number>
}

/** Tables with their indexes and what was moved out of line. */
export const tableBytes = (pool: Pool, schema: string): Effect.Effect<number> =>
  Effect.promise(async () => {
    const { rows } = await pool.query<{ readonly bytes: string }>(
      "select coalesce(sum(pg_total_relation_size(oid)), 0)::text as bytes from pg_class where relkind = 'r' and relnamespace = $1::regnamespace",
      [schema]
    )
    return Number(rows[0]?.bytes)
  })

export const keyBytes = (client: Redis, pattern: string): Effect.Effect<number> =>
  Effect.promise(async () => {
    const keys = await client.keys(pattern)
    const sizes = await Promise.all(keys.map((key) => client.memory("USAGE", key, "SAMPLES", 0)))
    return sizes.reduce<number>((bytes, size) => bytes + (size ?? 0), 0)
  })
