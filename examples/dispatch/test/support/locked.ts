/** Private servers that want a password: user `me`, password `s3cret`. Each is the host and port of one. */
import { Effect } from "effect"
import { Redis } from "ioredis"
import { writeFileSync } from "node:fs"
import { Client } from "pg"
import { startPostgres } from "../../../../test/servers/postgres.ts"
import { startRedis } from "../../../../test/servers/redis.ts"

export const lockedPostgres = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = await startPostgres()
    if (!server.isPrivate) throw new Error("the server of EVERBEAT_TEST_POSTGRES_URL is not ours to lock; unset it")
    const client = new Client({ connectionString: server.url })
    await client.connect()
    await client.query("create role me login password 's3cret'")
    const { rows: [row] } = await client.query<{ readonly file: string }>("select current_setting('hba_file') as file")
    writeFileSync(row?.file ?? "", "host all me 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n")
    await client.query("select pg_reload_conf()")
    await client.end()
    return server
  }),
  (server) => Effect.promise(server.stop)
).pipe(Effect.map(({ url }) => new URL(url).host))

export const lockedRedis = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = await startRedis()
    const client = new Redis(server.url)
    await client.config("SET", "requirepass", "s3cret")
    client.disconnect()
    return server
  }),
  (server) => Effect.promise(server.stop)
).pipe(Effect.map(({ url }) => new URL(url).host))
