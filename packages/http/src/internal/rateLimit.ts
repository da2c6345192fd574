import type { AgentName } from "@everbeat/core/AgentName"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as RateLimiter from "effect/persistence/RateLimiter"
import type * as Scope from "effect/Scope"
import type { RateLimit } from "../HeartbeatHandler.ts"
import * as Problem from "../Problem.ts"

type Limit = (agentName: AgentName) => Effect.Effect<void, Problem.RateLimited>

/** Counts the calls of each agent: with the host's limiter where it has one, otherwise in this process. */
export const makeRateLimit = Effect.fnUntraced(function*(
  options: RateLimit | undefined
): Effect.fn.Return<Limit, never, Scope.Scope> {
  if (options === undefined) return () => Effect.void
  const { limit, windowMs } = options
  const limiter = yield* Option.match(yield* Effect.serviceOption(RateLimiter.RateLimiter), {
    onSome: Effect.succeed,
    onNone: () => Effect.provide(RateLimiter.make, RateLimiter.layerStoreMemory)
  })
  return (agentName) =>
    limiter.consume({
      algorithm: "fixed-window",
      onExceeded: "fail",
      window: Duration.millis(windowMs),
      limit,
      key: `everbeat/heartbeat/${agentName}`
    }).pipe(
      Effect.asVoid,
      Effect.catch(({ reason }) => {
        if (reason._tag === "RateLimitExceeded") {
          const retryAfterSeconds = Math.max(1, Math.ceil(Duration.toMillis(reason.retryAfter) / 1000))
          return Effect.fail(
            new Problem.RateLimited({
              detail: `This host accepts ${limit} heartbeats of an agent in ${windowMs / 1000} seconds.`,
              retryAfterSeconds
            })
          )
        }
        // Counting is a courtesy: when it fails, heartbeats go on.
        return Effect.logWarning(`Heartbeats could not be counted: ${Cause.pretty(Cause.fail(reason))}`)
      })
    )
})
