import { Effect } from "effect"
import { Redis } from "ioredis"
import { randomUUID } from "node:crypto"
import { Client } from "pg"
import { inject } from "vitest"

const withClient = async <A>(use: (client: Client) => Promise<A>): Promise<A> => {
  const client = new Client({ connectionString: inject("dispatchStores").postgres })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

/** The address of an empty database, which is gone with the scope. */
const postgres = Effect.acquireRelease(
  Effect.promise(async () => {
    const name = `dispatch_${randomUUID().slice(0, 8)}`
    await withClient((client) => client.query(`create database ${name}`))
    const url = new URL(inject("dispatchStores").postgres)
    url.pathname = `/${name}`
    return { url: url.href, name }
  }),
  ({ name }) => Effect.promise(() => withClient((client) => client.query(`drop database ${name} with (force)`)))
).pipe(Effect.map(({ url }) => url))

const withRedis = async <A>(url: string, use: (client: Redis) => Promise<A>): Promise<A> => {
  const client = new Redis(url)
  try {
    return await use(client)
  } finally {
    client.disconnect()
  }
}

/** The address of an empty database, which is emptied with the scope. Database 0 counts them, for all files of tests. */
const redis = Effect.acquireRelease(
  Effect.promise(async () => {
    const { redis } = inject("dispatchStores")
    return `${redis}/${await withRedis(redis, (client) => client.incr("databases"))}`
  }),
  (url) => Effect.promise(() => withRedis(url, (client) => client.flushdb()))
)

/** An empty store for a test, by the scheme of its address. */
export const stores = [["postgres", postgres], ["redis", redis]] as const
