import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Cluster, Redis } from "ioredis"
import { DangerousEviction, type RedisWarning, UnknownConfiguration, WeakPersistence } from "../RedisWarning.ts"

const field = (info: string, name: string): string | undefined =>
  new RegExp(`^${name}:(.*?)\\r?$`, "mu").exec(info)?.[1]

const addressOf = ({ options: { host = "localhost", path, port = 6379 } }: Redis): string => path ?? `${host}:${port}`

/** Whether snapshots are configured; who may not ask gets no answer. */
const hasSnapshots = async (server: Redis): Promise<boolean> => {
  try {
    const answer = await server.config("GET", "save")
    return Array.isArray(answer) ? answer[1] !== "" : true
  } catch {
    return true
  }
}

const inspectServer = async (server: Redis): Promise<ReadonlyArray<RedisWarning>> => {
  const address = addressOf(server)
  const info = await server.info()
  const warnings: Array<RedisWarning> = []
  const policy = field(info, "maxmemory_policy")
  if (policy !== undefined && policy !== "noeviction") warnings.push(new DangerousEviction({ server: address, policy }))
  if (field(info, "aof_enabled") === "0") {
    const persistence = (await hasSnapshots(server)) ? "snapshots" : "none"
    warnings.push(new WeakPersistence({ server: address, persistence }))
  }
  return warnings
}

/** Looks at every master. */
export const inspect = (
  client: Redis | Cluster,
  timeout: Duration.Duration
): Effect.Effect<ReadonlyArray<RedisWarning>> =>
  Effect.suspend(() => {
    const servers = "nodes" in client ? client.nodes("master") : [client]
    const inspected = Effect.forEach(
      servers,
      (server) => {
        const unknown = (detail: string) => [new UnknownConfiguration({ server: addressOf(server), detail })]
        return Effect.tryPromise({ try: () => inspectServer(server), catch: String }).pipe(
          Effect.timeoutOrElse({
            duration: timeout,
            orElse: () => Effect.fail(`no answer within ${Duration.toMillis(timeout)} ms`)
          }),
          Effect.catch((detail): Effect.Effect<ReadonlyArray<RedisWarning>> => Effect.succeed(unknown(detail)))
        )
      },
      { concurrency: "unbounded" }
    )
    return Effect.map(inspected, (warnings) => warnings.flat())
  })
