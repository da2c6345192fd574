import { assert, describe, it } from "@effect/vitest"
import { AgentName, Checkpointer } from "@everbeat/core"
import { RedisStore } from "@everbeat/store-redis"
import { Duration, Effect } from "effect"
import { startRedisCluster } from "../../../test/servers/redis.ts"
import { append, begun, hostClient, inputFor, recordOf } from "./support.ts"

const ownCluster = Effect.acquireRelease(
  Effect.promise(() => startRedisCluster()),
  (cluster) => Effect.promise(() => cluster.stop())
)

describe("a Cluster with a node that is down", () => {
  it.live(
    "renews the leases on the other nodes, says of which it does not know, and goes on when the node is back",
    () =>
      Effect.gen(function*() {
        const { nodes } = yield* ownCluster
        const admins = yield* Effect.forEach(nodes, ({ url }) => hostClient(url))
        // What holds the slots that are left must still answer.
        yield* Effect.forEach(
          admins,
          (admin) => Effect.promise(() => admin.config("SET", "cluster-require-full-coverage", "no"))
        )
        const stores = yield* RedisStore.make({
          cluster: { nodes: nodes.map(({ port }) => ({ host: "127.0.0.1", port })) },
          timeout: "2 seconds"
        })
        const { checkpoints } = stores
        const inputs = Array.from({ length: 24 }, (_, n) => inputFor(`agent-${n}`, { ttl: Duration.minutes(1) }))
        const leases = yield* Effect.forEach(inputs, (input) => begun(stores, input))
        const [node] = nodes
        assert(node !== undefined)
        yield* Effect.promise(() => node.kill())
        const answers = yield* checkpoints.renew(leases, Duration.hours(5))
        assert.deepStrictEqual(answers.map(({ runId }) => runId), leases.map(({ runId }) => runId))

        const loads = yield* Effect.forEach(
          leases,
          ({ runId }) => Effect.option(checkpoints.load(runId)),
          { concurrency: "unbounded" }
        )
        // What the store said of each is true.
        assert.deepStrictEqual(
          answers.map(({ state }) => state === "renewed"),
          loads.map((load) => load._tag === "Some")
        )
        const left = loads.flatMap((load) =>
          load._tag === "Some" ? [load.value.leaseUntil.epochMilliseconds - load.value.startedAt.epochMilliseconds] : []
        )
        assert(left.length > 0 && left.length < leases.length, `${left.length} runs are on the nodes that are up`)
        for (const millis of left) assert.isAbove(millis, Duration.toMillis("4 hours"))

        yield* Effect.promise(() => node.restart())
        const renewals = yield* Effect.retry(
          Effect.filterOrFail(
            checkpoints.renew(leases, Duration.hours(5)),
            (answers) => answers.every(({ state }) => state !== "unknown"),
            () => "unknown"
          ),
          { times: 100 }
        )
        assert.deepStrictEqual(renewals.map(({ runId }) => runId), leases.map(({ runId }) => runId))
        assert.isTrue(renewals.every(({ state }) => state === "renewed"))
        const [lease, input] = [leases[0], inputs[0]]
        assert(lease !== undefined && input !== undefined)
        yield* checkpoints.save(lease, append(0, "a"))
        yield* checkpoints.settle(lease, yield* recordOf(input))
      }).pipe(Effect.scoped),
    60_000
  )

  it.live(
    "takes no healthy run along when the node hangs, however impatient the owners are",
    () =>
      Effect.gen(function*() {
        const { nodes } = yield* ownCluster
        yield* Effect.forEach(nodes, ({ url }) =>
          Effect.flatMap(
            hostClient(url),
            (admin) => Effect.promise(() => admin.config("SET", "cluster-require-full-coverage", "no"))
          ))
        const { checkpoints, runs } = yield* RedisStore.make({
          cluster: { nodes: nodes.map(({ port }) => ({ host: "127.0.0.1", port })) }
        })
        const owners = yield* Effect.forEach(
          Array.from({ length: 16 }, (_, n) => AgentName.make(`agent-${n}`)),
          (agentName) =>
            Checkpointer.make({
              store: checkpoints,
              runs,
              meta: { agentName },
              leaseTtl: "12 seconds",
              storeTimeout: "1 second"
            })
        )
        const [node] = nodes
        assert(node !== undefined)
        const frozen = node.pid()
        yield* Effect.acquireRelease(
          Effect.sync(() => process.kill(frozen, "SIGSTOP")),
          () => Effect.sync(() => process.kill(frozen, "SIGCONT"))
        )
        const reached = yield* Effect.forEach(
          owners,
          ({ runId }) => Effect.isSuccess(Effect.timeout(checkpoints.load(runId), "1 second")),
          { concurrency: "unbounded" }
        )
        const cutOff = owners.filter((_, n) => reached[n] === false)
        const healthy = owners.filter((_, n) => reached[n] === true)
        assert(cutOff.length > 0 && healthy.length > 0, `${healthy.length} of ${owners.length} runs are reached`)
        // All leases were granted at the same time: when those are lost, the others would be lost, too.
        const lost = yield* Effect.forEach(cutOff, ({ stopped }) => Effect.flip(stopped), { concurrency: "unbounded" })
        assert.deepStrictEqual([...new Set(lost.map(({ _tag }) => _tag))], ["LeaseLost"])
        yield* Effect.sleep("2 seconds")
        for (const owner of healthy) {
          yield* owner.save({ iteration: 1 })
          yield* owner.flush
        }
      }).pipe(Effect.scoped),
    60_000
  )
})
