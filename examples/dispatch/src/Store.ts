/** The store of runs and Dispatch's own state, side by side at one address and on one connection or pool. */
import { CheckpointStore, RunStore } from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { PostgresStore } from "@everbeat/store-postgres"
import { RedisStore } from "@everbeat/store-redis"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { Redis } from "ioredis"
import { Pool } from "pg"
import type { StoreAddress } from "./Configuration.ts"
import * as Documents from "./Documents.ts"
import { failureReason } from "./failureReason.ts"
import { State } from "./State.ts"

/** The store that Dispatch was told to use does not let it in. */
export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>()("StoreUnavailable", {
  place: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `Cannot use the store at ${this.place} (${this.reason}). ` +
      "Check that it runs and lets Dispatch in, or set EVERBEAT_STORE to another one."
  }
}

/** What Dispatch keeps: the runs of its agents, and its own state. */
type Kept = CheckpointStore.CheckpointStore | RunStore.RunStore | State

/** All of it in this process, and gone with it. */
export const layerMemory: Layer.Layer<Kept> = Layer.merge(MemoryStore.layer, State.layerMemory)

/** All of it at the given address. */
export const layer = (store: StoreAddress): Layer.Layer<Kept, StoreUnavailable> => {
  switch (store._tag) {
    case "Memory":
      return layerMemory
    case "Postgres":
      return Layer.effectContext(postgres(store))
    case "Redis":
      return Layer.effectContext(redis(store))
  }
}

// internal

type Durable = Exclude<StoreAddress, { readonly _tag: "Memory" }>

/** Milliseconds that a database may take to answer, before it counts as gone. */
const patience = 5_000

const postgres = Effect.fnUntraced(function*({ place, url }: Durable) {
  const pool = yield* Effect.acquireRelease(
    Effect.try({
      try: () =>
        new Pool({
          connectionString: Redacted.value(url),
          application_name: "dispatch",
          keepAlive: true,
          statement_timeout: patience,
          query_timeout: 2 * patience,
          connectionTimeoutMillis: patience
        }),
      catch: unavailable(place)
    }),
    (pool) => Effect.promise(() => pool.end().catch(() => {}))
  )
  // A connection that is lost while nobody uses it is replaced by the next use.
  pool.on("error", () => {})
  const documents = yield* Effect.tryPromise({ try: () => Documents.postgres(pool), catch: unavailable(place) })
  const stores = yield* Effect.mapError(PostgresStore.make(pool), unavailable(place))
  return kept(stores, documents)
})

const redis = Effect.fnUntraced(function*({ place, url }: Durable) {
  let last: unknown
  const client = yield* Effect.acquireRelease(
    Effect.try({
      try: () =>
        new Redis(Redacted.value(url), {
          lazyConnect: true,
          connectionName: "dispatch",
          connectTimeout: patience,
          maxRetriesPerRequest: 3,
          socketTimeout: 2 * patience,
          // After a fail-over the old master refuses writes: a new connection finds the new one.
          reconnectOnError: (cause) => cause.message.startsWith("READONLY")
        }),
      catch: unavailable(place)
    }),
    (client) => Effect.sync(() => client.disconnect())
  )
  // Why a connection failed; the commands that it fails say only that it did.
  client.on("error", (cause: unknown) => {
    last = cause
  })
  yield* Effect.tryPromise({
    try: async () => {
      await client.connect()
      // Where the database of the address does not exist, the client goes on with database 0, which is somebody else's.
      await client.select(client.options.db ?? 0)
    },
    catch: (cause) => unavailable(place)(last ?? cause)
  }).pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.fail(unavailable(place)(last ?? new Error("it does not answer")))
    })
  )
  return kept(yield* RedisStore.makeFrom(client), Documents.redis(client))
})

const kept = (
  { checkpoints, runs }: {
    readonly checkpoints: CheckpointStore.CheckpointStore["Service"]
    readonly runs: RunStore.RunStore["Service"]
  },
  documents: Parameters<typeof State.fromDocuments>[0]
): Context.Context<Kept> =>
  Context.make(CheckpointStore.CheckpointStore, checkpoints).pipe(
    Context.add(RunStore.RunStore, runs),
    Context.add(State, State.fromDocuments(documents))
  )

const unavailable = (place: string) => (cause: unknown): StoreUnavailable =>
  new StoreUnavailable({ place, reason: failureReason(cause) })
