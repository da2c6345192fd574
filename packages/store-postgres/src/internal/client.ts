/** Statements over the pool: one at a time, never a client that is held. */
import type { StoreError } from "@everbeat/core/StoreError"
import * as Effect from "effect/Effect"
import type { Pool, QueryConfig } from "pg"
import { contention, isConcurrency, storeError } from "./errors.ts"

/** Values as the server writes them: parsers that a host registers with `pg` do not reach them. */
export type Row = Readonly<Record<string, string | null>>

export interface Client {
  /** Rejects with what `pg` rejects with, except that what a concurrent statement undid is repeated. */
  readonly query: (text: string, values: ReadonlyArray<unknown>) => Promise<ReadonlyArray<Row>>
  readonly run: (
    operation: string,
    text: string,
    values?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Row>, StoreError>
}

const raw = { getTypeParser: () => (value: unknown) => value }

/** How often a statement is repeated that lost a race, before the caller is told. */
export const maxRaces = 20

/** A name that two stores on one connection can share only when their texts are the same. */
const nameOf = (text: string): string => {
  let [a, b] = [0x811c9dc5, 0x1000193]
  for (let index = 0; index < text.length; index++) {
    a = Math.imul(a ^ text.charCodeAt(index), 0x01000193)
    b = Math.imul(b + text.charCodeAt(index), 0x85ebca6b) ^ (b >>> 13)
  }
  return `everbeat_${(a >>> 0).toString(16)}${(b >>> 0).toString(16)}_${text.length}`
}

export const make = (pool: Pool, prepare: boolean): Client => {
  const names = new Map<string, string>()
  const named = (text: string): string => {
    const known = names.get(text)
    if (known !== undefined) return known
    const name = nameOf(text)
    names.set(text, name)
    return name
  }
  const query = async (text: string, values: ReadonlyArray<unknown>): Promise<ReadonlyArray<Row>> => {
    for (let race = 0;; race++) {
      try {
        const config: QueryConfig = { text, values: [...values], types: raw }
        // `pool.query` handles the errors of the client it takes; a client of our own would be one more to watch.
        // oxlint-disable-next-line eslint/no-await-in-loop -- one repetition after the other
        const { rows } = await pool.query(prepare ? { ...config, name: named(text) } : config)
        return rows as ReadonlyArray<Row> // `raw` leaves texts and nulls
      } catch (cause) {
        if (!isConcurrency(cause) || race >= maxRaces) throw cause
      }
    }
  }
  return {
    query,
    run: (operation, text, values = []) =>
      Effect.tryPromise({ try: () => query(text, values), catch: (cause) => storeError(operation, cause) })
  }
}

/** Repeats a statement that answers `undefined` when a concurrent one came between its reads and its writes. */
export const untilWon = <A, E>(
  operation: string,
  attempt: Effect.Effect<A | undefined, E>
): Effect.Effect<A, E | StoreError> =>
  Effect.gen(function*() {
    for (let race = 0; race < maxRaces; race++) {
      const answer = yield* attempt
      if (answer !== undefined) return answer
    }
    return yield* contention(operation)
  })
