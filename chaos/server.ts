/** A private server that may be restarted at any moment. */
import { PostgresStore } from "@everbeat/store-postgres"
import { Effect, Layer } from "effect"
import { setTimeout as sleep } from "node:timers/promises"
import { startPrivatePostgres } from "../test/servers/postgres.ts"
import { startRedis } from "../test/servers/redis.ts"
import { space, type StoreName } from "./messages.ts"

export interface Server {
  readonly url: string
  readonly port: number
  /** Ends it in one of the ways in which it may end, leaves it down for so long, and starts it again. */
  readonly restart: (gently: boolean, downMillis: number) => Promise<void>
  readonly stop: () => Promise<void>
}

/** Servers tell people what they do; standard output is for the report. */
const quietly = async <A>(start: () => Promise<A>): Promise<A> => {
  const { write } = process.stdout
  process.stdout.write = process.stderr.write.bind(process.stderr)
  try {
    return await start()
  } finally {
    process.stdout.write = write
  }
}

const postgres = async (): Promise<Server> => {
  const { crash, restart, stop, url } = await quietly(startPrivatePostgres)
  await Effect.runPromise(Effect.scoped(Layer.build(PostgresStore.layer({ url, schema: space, migrate: "auto" }))))
  return { url, port: 5432, restart: (gently) => (gently ? restart() : crash()), stop }
}

/** What it acknowledged is on the disk: without that, Redis promises nothing about a server that dies. */
const redis = async (): Promise<Server> => {
  const { kill, restart, stop, url } = await quietly(() => startRedis(["--appendfsync", "always"]))
  return {
    url,
    port: 6379,
    restart: async (_, downMillis) => {
      await kill()
      await sleep(downMillis)
      await restart()
    },
    stop
  }
}

export const startServer = (store: StoreName): Promise<Server> => (store === "postgres" ? postgres : redis)()
