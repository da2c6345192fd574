/** Private servers with clients that count what they send. */
import { Effect, Schedule, type Scope } from "effect"
import { Socket } from "node:net"
import { startPostgres } from "../../test/servers/postgres.ts"
import { startRedis } from "../../test/servers/redis.ts"
import { Pool, type PoolConfig, Redis, type Redis as RedisClient } from "./drivers.ts"

/** Servers tell people what they do; the output is for the results. */
const quietly = async <A>(start: () => Promise<A>): Promise<A> => {
  const { write } = process.stdout
  process.stdout.write = process.stderr.write.bind(process.stderr)
  try {
    return await start()
  } finally {
    process.stdout.write = write
  }
}

export const acquirePool = (config: PoolConfig) =>
  Effect.acquireRelease(
    Effect.sync(() => new Pool(config).on("error", () => {})),
    (pool) => Effect.promise(() => pool.end())
  )

/** A database of its own, and a pool beside it whose statements are in no counter of that database. */
export const postgres = Effect.gen(function*() {
  const server = yield* Effect.acquireRelease(
    Effect.promise(() => quietly(startPostgres)),
    (server) => Effect.promise(server.stop)
  )
  const admin = yield* acquirePool({ connectionString: server.url, max: 1 })
  const name = `everbeat_bench_${process.pid}`
  // A server takes connections a moment before it takes statements.
  const ready = Effect.tryPromise(() => admin.query("select 1"))
  yield* Effect.orDie(Effect.retry(ready, { times: 100, schedule: Schedule.spaced("100 millis") }))
  yield* Effect.acquireRelease(
    Effect.promise(() => admin.query(`create database ${name}`)),
    () => Effect.promise(() => admin.query(`drop database ${name} with (force)`))
  )
  if (server.isPrivate) {
    // A worker's transactions would count as ours.
    yield* Effect.promise(() => admin.query("alter system set autovacuum_naptime = '1h'"))
    yield* Effect.promise(() => admin.query("select pg_reload_conf()"))
  }
  const url = new URL(server.url)
  url.pathname = `/${name}`
  return { url: url.href, name, admin, isPrivate: server.isPrivate }
})

export const redis = Effect.acquireRelease(
  Effect.promise(() => quietly(startRedis)),
  (server) => Effect.promise(server.stop)
)

export const acquireRedis = (url: string) =>
  Effect.acquireRelease(Effect.sync(() => new Redis(url)), (client) => Effect.sync(() => client.disconnect()))

/** What a client has sent. */
export interface Sent {
  readonly statements: number
  readonly bytes: number
}

/** Executions in one piece of the protocol: messages of a letter and a length. The start of a session has no letter. */
const executions = (data: Uint8Array): number => {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  let found = 0
  for (let at = 0; at + 5 <= data.length; at += 1 + view.getUint32(at + 1)) {
    const letter = String.fromCharCode(data[at] ?? 0)
    if (letter === "\0") return 0
    if (letter === "E" || letter === "Q") found++
  }
  return found
}

/** A pool that counts, of one connection unless told. */
export const countingPool = Effect.fnUntraced(function*(url: string, max = 1) {
  const sockets: Array<Socket> = []
  let statements = 0
  const stream = () => {
    const socket = new Socket()
    const write = socket.write.bind(socket)
    // `connect` puts the original back.
    socket.once("connect", () => {
      socket.write = (data: Uint8Array | string, ...rest: ReadonlyArray<unknown>): boolean => {
        if (typeof data !== "string") statements += executions(data)
        return Reflect.apply(write, undefined, [data, ...rest])
      }
    })
    sockets.push(socket)
    return socket
  }
  const pool = yield* acquirePool({ connectionString: url, max, stream })
  const sent = (): Sent => ({
    statements,
    bytes: sockets.reduce((bytes, { bytesWritten }) => bytes + bytesWritten, 0)
  })
  return { pool, sent }
})

/** A client that counts. */
export const countingRedis = Effect.fnUntraced(function*(
  url: string
): Effect.fn.Return<{ readonly client: RedisClient; readonly sent: () => Sent }, never, Scope.Scope> {
  let statements = 0
  class Counting extends Redis {
    override sendCommand(...args: Parameters<Redis["sendCommand"]>): unknown {
      statements++
      return super.sendCommand(...args)
    }
  }
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => new Counting(url)),
    (client) => Effect.sync(() => client.disconnect())
  )
  yield* Effect.promise(() => client.ping())
  const sent = (): Sent => ({ statements, bytes: client.stream.bytesWritten })
  return { client, sent }
})
