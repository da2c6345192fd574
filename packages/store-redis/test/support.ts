import { inject } from "@effect/vitest"
import { AgentName, RunId } from "@everbeat/core"
import type { AgentRun } from "@everbeat/core/AgentRun"
import type { BeginInput, Delta } from "@everbeat/core/CheckpointStore"
import type { RedisStore } from "@everbeat/store-redis"
import { DateTime, Duration, Effect } from "effect"
import { Redis, type RedisOptions } from "ioredis"
import { type RedisServer, startRedis } from "../../../test/servers/redis.ts"

let count = 0

/** A prefix that no other test file, and no earlier run of it, has used. */
export const fresh = (name: string): string => `test-${name}-${process.pid}-${Date.now().toString(36)}-${count++}`

/** Options for the server of this run of the tests. */
export const onServer = (name: string): RedisStore.Options => ({ url: inject("redisUrl"), prefix: fresh(name) })

/** Options for the Cluster of this run of the tests. */
export const onCluster = (name: string): RedisStore.Options => ({
  prefix: fresh(name),
  cluster: { nodes: inject("redisClusterPorts").map((port) => ({ host: "127.0.0.1", port })) }
})

/** A server of the test's own, to be mistreated. */
export const ownServer = (...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.promise(() => startRedis(args)),
    (server: RedisServer) => Effect.promise(() => server.stop())
  )

/** A client of the host. */
export const hostClient = (url: string, options: Omit<RedisOptions, "replyMapping"> = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const client = new Redis(url, { maxRetriesPerRequest: 3, ...options })
      client.on("error", () => {})
      return client
    }),
    (client) => Effect.sync(() => client.disconnect())
  )

export const ttl = Duration.hours(1)

export const inputFor = (name: string, more: Partial<BeginInput> = {}): BeginInput => {
  const agentName = AgentName.make(name)
  return {
    meta: { runId: RunId.make(agentName), kind: "heartbeat", agentName, definition: { name: "d", hash: "1" } },
    owner: fresh("owner"),
    ttl,
    maxAttempts: 3,
    exclusive: true,
    resumes: "same-name",
    ...more
  }
}

export const append = (position: number, ...rows: ReadonlyArray<string>): Delta => ({
  position,
  rows,
  segments: position + rows.length === 0 ? [] : [[0, position + rows.length]],
  ttl
})

export const recordOf = ({ meta }: BeginInput, more: Partial<AgentRun> = {}): Effect.Effect<AgentRun> =>
  Effect.map(DateTime.now, (now): AgentRun => ({
    ...meta,
    status: "ok",
    startedAt: now,
    finishedAt: now,
    summary: "",
    warnings: [],
    errors: [],
    touchedIssueUrls: [],
    steps: [],
    attempts: [],
    ...more
  }))

/** Begins a fresh run. */
export const begun = ({ checkpoints }: RedisStore.Stores, input: BeginInput) =>
  Effect.map(checkpoints.begin(input), (answer) => {
    if (answer._tag !== "Begun") throw new Error(`a fresh run was expected, the answer was ${answer._tag}`)
    return answer.lease
  })
