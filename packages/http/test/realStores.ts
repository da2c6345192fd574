/** Private servers of PostgreSQL and Redis, with an empty store for each test, and a way to them that can be cut. */
import { type Heartbeat, HeartbeatEngine } from "@everbeat/core"
import type { CheckpointStore } from "@everbeat/core/CheckpointStore"
import type { RunStore } from "@everbeat/core/RunStore"
import type { StoreError } from "@everbeat/core/StoreError"
import { HeartbeatHandler } from "@everbeat/http"
import { PostgresStore } from "@everbeat/store-postgres"
import { RedisStore } from "@everbeat/store-redis"
import { Effect, Layer } from "effect"
import { randomUUID } from "node:crypto"
import { Client } from "pg"
import { startPostgres } from "../../../test/servers/postgres.ts"
import { startProxy } from "../../../test/servers/proxy.ts"
import { startRedis } from "../../../test/servers/redis.ts"
import { acquire, auth, callOf } from "./harness.ts"

export type Stores = Layer.Layer<CheckpointStore | RunStore, StoreError>

/** An empty store: every layer is another process with connections of its own. */
interface Empty {
  readonly connect: (url?: string) => Stores
  readonly drop: () => Promise<void>
}

interface Server {
  readonly url: string
  readonly port: number
  readonly empty: () => Empty
  readonly stop: () => Promise<void>
}

const postgres = async (): Promise<Server> => {
  const { stop, url: address } = await startPostgres()
  return {
    url: address,
    port: 5432,
    stop,
    empty: () => {
      const schema = `http_${randomUUID().slice(0, 8)}`
      return {
        connect: (url = address) => PostgresStore.layer({ url, schema, connectTimeout: "1 second" }),
        drop: async () => {
          const client = new Client({ connectionString: address })
          await client.connect()
          await client.query(`drop schema if exists ${schema} cascade`)
          await client.end()
        }
      }
    }
  }
}

const redis = async (): Promise<Server> => {
  const { stop, url: address } = await startRedis()
  return {
    url: address,
    port: 6379,
    stop,
    empty: () => {
      const prefix = `http-${randomUUID().slice(0, 8)}`
      const onWarning = () => Effect.void
      // The server is of these tests alone: what is left goes with it.
      return {
        connect: (url = address) => RedisStore.layer({ url, prefix, onWarning, timeout: "1 second" }),
        drop: async () => {}
      }
    }
  }
}

export const servers = [["PostgreSQL", postgres], ["Redis", redis]] as const

/** An empty store, for the time of the test. */
export const emptyOn = (server: Server) =>
  Effect.map(
    Effect.acquireRelease(Effect.sync(server.empty), ({ drop }) => Effect.promise(drop)),
    ({ connect }) => connect
  )

export const proxyTo = (server: Server) =>
  Effect.acquireRelease(Effect.promise(() => startProxy(server.url, server.port)), (proxy) => Effect.sync(proxy.close))

type Services = HeartbeatEngine.HeartbeatEngine | CheckpointStore | RunStore

interface Serving {
  readonly heartbeats: HeartbeatHandler.Heartbeats<Heartbeat.Any>
  readonly leaseTtl?: "3 seconds" | "30 seconds"
  /** What the process has beside the engine and the stores. */
  readonly extra?: (services: Layer.Layer<Services, StoreError>) => Layer.Layer<Services, StoreError>
}

/** A process of its own on the store: an engine, a handler and its calls. */
export const processOn = (
  stores: Stores,
  { extra = (services) => services, heartbeats, leaseTtl = "30 seconds" }: Serving
) =>
  Effect.gen(function*() {
    const verify = yield* auth
    const layer = extra(Layer.provideMerge(HeartbeatEngine.layerWith({ leaseTtl }), stores))
    const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer }))
    return { handler, call: callOf(handler) }
  })
