import * as Effect from "effect/Effect"
import { type AgentRun, isSettled } from "../AgentRun.ts"
import type { StartError } from "../PassError.ts"
import type { RunId } from "../RunId.ts"
import type { RunStore } from "../RunStore.ts"
import type { AgentBusy } from "../StoreError.ts"
import type { ActivePass, PassView } from "./activePass.ts"

/** While joining a pass of another process: how often its end is asked for. */
const pollMillis = { first: 100, most: 2000 }

interface JoinSetup {
  readonly active: ReadonlyMap<RunId, ActivePass>
  readonly runs: RunStore["Service"] | undefined
  readonly settledPass: (run: AgentRun, origin: "joined") => ActivePass
}

/**
 * Begins a pass, or waits for the one in flight: of this process or of another
 * one, which is taken over when that process dies. With a key of its own the
 * call only waits for its turn, so that the key stays with one run. When nobody
 * runs what is in the way, waiting would not end: the call fails as busy.
 */
export const makeJoin = ({ active, runs, settledPass }: JoinSetup) => {
  const joinOrBegin = (
    begin: Effect.Effect<PassView, StartError>,
    heartbeat: string,
    keyed: boolean,
    millis: number = pollMillis.first
  ): Effect.Effect<PassView, StartError> => {
    const later = Math.min(millis * 2, pollMillis.most)
    const again = Effect.suspend(() => joinOrBegin(begin, heartbeat, keyed, later))
    return Effect.catchTag(begin, "AgentBusy", (busy) => {
      const local = active.get(busy.runId)
      if (local !== undefined) {
        if (keyed) return Effect.andThen(Effect.exit(local.report), again)
        return local.heartbeat === heartbeat ? Effect.succeed(local.joined) : Effect.fail(busy)
      }
      return runs === undefined ? Effect.fail(busy) : wait(runs, busy, again, heartbeat, keyed, millis)
    })
  }

  const wait = (
    runs: RunStore["Service"],
    busy: AgentBusy,
    again: Effect.Effect<PassView, StartError>,
    heartbeat: string,
    keyed: boolean,
    millis: number
  ): Effect.Effect<PassView, StartError> =>
    Effect.flatMap(
      Effect.catchTag(runs.get(busy.runId), "RunNotFound", () => Effect.undefined),
      (run) => {
        if (run === undefined) return Effect.fail(busy) // without a trace: there is nothing to wait for
        if (run.definition.name !== heartbeat) return Effect.fail(busy)
        if (isSettled(run)) return keyed ? again : Effect.succeed(settledPass(run, "joined"))
        // `begin` would have handed it to us if it could.
        if (run.status !== "running" && busy.retryAfterMillis === 0) return Effect.fail(busy)
        const later = Math.min(millis * 2, pollMillis.most)
        return Effect.andThen(
          Effect.sleep(millis),
          run.status === "running" ? wait(runs, busy, again, heartbeat, keyed, later) : again
        )
      }
    )

  return joinOrBegin
}
