import { keyRetention, type PruneOptions, type RunStore } from "@everbeat/core/RunStore"
import type { StoreError } from "@everbeat/core/StoreError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { agents, erase as eraseScript, pruneAge, pruneRank, pruneSpent } from "./lua/prune.ts"
import type { Script } from "./lua/shared.ts"
import type { Partitions, Reply } from "./partitions.ts"
import * as Read from "./reply.ts"
import * as Text from "./text.ts"

type Service = RunStore["Service"]

/** Runs that one script deletes or looks at: Redis does nothing else meanwhile. */
const budget = 200

const retention = Duration.toMillis(keyRetention)

const numbers = (reply: Reply): ReadonlyArray<number> => Read.list(reply).map(Read.number)

/** Deletes runs rule by rule and partition by partition, until the batch is full. */
export const prune = (partitions: Partitions): Service["prune"] =>
  Effect.fnUntraced(function*({ batch = 1000, exhaustedFor, keepLast, olderThan }: PruneOptions) {
    // One count for every rule: what may still go.
    const batched = { left: batch }

    const byAge = Effect.fnUntraced(function*(partition: number, age: number): Effect.fn.Return<void, StoreError> {
      for (let more = 1; more === 1 && batched.left > 0;) {
        const args = [age, retention, Math.min(batched.left, budget)]
        const [gone = 0, rest = 0] = yield* partitions.call("prune", pruneAge, partition, args, numbers)
        batched.left -= gone
        more = rest
      }
    })

    /** A script that passes over runs that must stay: the next call skips those. */
    const passing = Effect.fnUntraced(
      function*(
        script: Script,
        partition: number,
        args: ReadonlyArray<string | number>
      ): Effect.fn.Return<void, StoreError> {
        let skip = 0
        for (let more = 1; more === 1 && batched.left > 0;) {
          const all = [...args, batched.left, budget, skip]
          const [gone = 0, kept = 0, rest = 0] = yield* partitions.call("prune", script, partition, all, numbers)
          batched.left -= gone
          skip += kept
          more = rest
        }
      }
    )

    const byRank = Effect.fnUntraced(function*(partition: number, keep: number): Effect.fn.Return<void, StoreError> {
      for (let cursor = ""; cursor !== "0" && batched.left > 0;) {
        const [next, names] = yield* partitions.call(
          "prune",
          agents,
          partition,
          [cursor === "" ? "0" : cursor],
          (reply) => {
            const [next, names] = Read.list(reply)
            return [Read.text(next), Read.list(names).map(Read.text)] as const
          }
        )
        for (const name of names) {
          if (batched.left > 0) yield* passing(pruneRank, partition, [name, keep, retention])
        }
        cursor = next
      }
    })

    for (const partition of partitions.all) {
      if (olderThan !== undefined) yield* byAge(partition, Duration.toMillis(olderThan))
      if (keepLast !== undefined) yield* byRank(partition, Math.max(0, keepLast))
      if (exhaustedFor !== undefined) {
        yield* passing(pruneSpent, partition, [Duration.toMillis(exhaustedFor), retention])
      }
    }
    return batch - batched.left
  })

/** Deletes the settled runs of an index to its end. */
export const erase = (partitions: Partitions): Service["erase"] => (who) => {
  const index = "callerId" in who ? `caller:${Text.encode(who.callerId)}` : `done:${who.agentName}`
  const asked = "callerId" in who ? partitions.all : [partitions.ofAgent(who.agentName)]
  const eraseIn = Effect.fnUntraced(function*(partition: number): Effect.fn.Return<number, StoreError> {
    let total = 0
    let after = ""
    do {
      const [gone, last] = yield* partitions.call("erase", eraseScript, partition, [index, after, budget], (reply) => {
        const [gone, last] = Read.list(reply)
        return [Read.number(gone), Read.text(last)] as const
      })
      total += gone
      after = last
    } while (after !== "")
    return total
  })
  return Effect.map(
    Effect.forEach(asked, eraseIn, { concurrency: "unbounded" }),
    (counts) => counts.reduce((sum, count) => sum + count, 0)
  )
}
