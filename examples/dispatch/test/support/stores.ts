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

let databases = 0

/** The address of an empty database, which is emptied with the scope. */
const redis = Effect.acquireRelease(
  Effect.sync(() => `${inject("dispatchStores").redis}/${++databases}`),
  (url) =>
    Effect.promise(async () => {
      const client = new Redis(url)
      await client.flushdb()
      client.disconnect()
    })
)

/** An empty store for a test, by the scheme of its address. */
export const stores = [["postgres", postgres], ["redis", redis]] as const
