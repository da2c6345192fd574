import { Effect } from "effect"
import { Redis } from "ioredis"
import { randomUUID } from "node:crypto"
import { Client } from "pg"
import { inject } from "vitest"

const withClient = async <A>(
  use: (client: Client) => Promise<A>,
  connectionString = inject("dispatchStores").postgres
): Promise<A> => {
  const client = new Client({ connectionString })
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

/** Writes into a document of Dispatch's state behind its back, and answers the text that was there. */
export const overwrite = (url: string, name: string, text: string): Effect.Effect<string | null> =>
  Effect.promise(() =>
    url.startsWith("redis")
      ? withRedis(url, async (client) => {
        const before = await client.hget("dispatch:state", name)
        await client.hset("dispatch:state", name, text)
        return before
      })
      : withClient(async (client) => {
        const { rows: [row] } = await client.query<{ readonly value: string }>(
          "select value from dispatch_state where key = $1",
          [name]
        )
        await client.query("update dispatch_state set value = $2 where key = $1", [name, text])
        return row?.value ?? null
      }, url)
  )

/** An empty store for a test, by the scheme of its address. */
export const stores = [["postgres", postgres], ["redis", redis]] as const
