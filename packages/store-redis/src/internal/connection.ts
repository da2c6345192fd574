import { StoreError } from "@everbeat/core/StoreError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Cluster, type ClusterNode, type ClusterOptions, Redis, type RedisOptions } from "ioredis"
import * as Errors from "./errors.ts"

export interface Target {
  readonly url?: string | undefined
  readonly redis?: RedisOptions | undefined
  readonly cluster?: {
    readonly nodes: ReadonlyArray<ClusterNode>
    readonly options?: ClusterOptions | undefined
  } | undefined
}

/** After a fail-over the old master refuses writes: a new connection finds the new one. */
const reconnectOnError = (cause: Error): boolean => cause.message.startsWith("READONLY")

// Nobody waits long for a dead server. What was sent when a connection was lost is sent again: scripts recognise that.
const defaults: RedisOptions = {
  connectionName: "everbeat",
  connectTimeout: 5000,
  maxRetriesPerRequest: 3,
  reconnectOnError
}

const merge = (...parts: ReadonlyArray<RedisOptions | undefined>): Omit<RedisOptions, "replyMapping"> =>
  Object.assign({}, ...parts)

const create = ({ cluster, redis, url }: Target, timeout: Duration.Duration): Redis | Cluster => {
  // A server that answers nothing for so long is gone, without a word from the network.
  const own = { ...defaults, socketTimeout: 2 * Duration.toMillis(timeout) }
  if (cluster !== undefined) {
    return new Cluster([...cluster.nodes], {
      ...cluster.options,
      lazyConnect: true,
      redisOptions: merge(own, redis, cluster.options?.redisOptions)
    })
  }
  const options = merge(own, redis, { lazyConnect: true })
  return url === undefined ? new Redis(options) : new Redis(url, options)
}

/** Asked for a database that the server does not have, the client goes on with the first one: runs would be mixed up. */
const select = async (client: Redis | Cluster): Promise<void> => {
  if (client instanceof Redis && (client.options.db ?? 0) > 0) await client.select(client.options.db ?? 0)
}

/** A connection that closes with the scope. */
export const connect = (
  target: Target,
  timeout: Duration.Duration
): Effect.Effect<Redis | Cluster, StoreError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const client = create(target, timeout)
      let last: unknown
      // Errors of a connection reach the commands that it fails; without a listener, the client prints them.
      client.on("error", (cause: unknown) => {
        last = cause
      })
      return { client, last: () => last }
    }),
    ({ client }) => Effect.sync(() => client.disconnect())
  ).pipe(
    Effect.tap(({ client, last }) =>
      Effect.tryPromise({
        try: () => client.connect().then(() => select(client)),
        catch: (cause) => Errors.fromClient("connect", last() ?? cause)
      }).pipe(
        Effect.timeoutOrElse({
          duration: timeout,
          orElse: () =>
            Effect.fail(
              new StoreError({ operation: "connect", reason: "unavailable", detail: "Redis cannot be reached" })
            )
        })
      )
    ),
    Effect.map(({ client }) => client)
  )
