import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { AgentEndError } from "../../AgentError.ts"
import type { AgentRun } from "../../AgentRun.ts"
import type { RecordedFailure } from "../../Fault.ts"
import type { RunId } from "../../RunId.ts"
import type { Watch } from "../watch.ts"

/** Why a run is to stop here before it has ended. */
export type StopReason = "cancelled" | "interrupted" | "parent" | "shutdown"

/** How a run ended in this process. `result` is what the agent answered or failed with. */
export interface Ended<A, E> {
  readonly result: Effect.Effect<A, E | AgentEndError | RecordedFailure>
  readonly record: Effect.Effect<AgentRun, Exclude<AgentEndError, { readonly _tag: "PassCancelled" }>>
}

/** A run that this process has in hand, whatever it answers. */
export abstract class Stoppable {
  stopping: StopReason | undefined
  /** Waits until it has let go. */
  abstract readonly over: Effect.Effect<void>
  private readonly listeners = new Set<(reason: StopReason) => void>()

  readonly stop = (reason: StopReason): void => {
    if (this.stopping !== undefined) return
    this.stopping = reason
    for (const listener of [...this.listeners]) listener(reason)
  }

  /** Calls once when the run is to stop, at once when it is already. Answers how to forget it. */
  onStop(listener: (reason: StopReason) => void): () => void {
    if (this.stopping !== undefined) listener(this.stopping)
    else this.listeners.add(listener)
    return () => {
      this.listeners.delete(listener)
    }
  }

  /** Waits so long, or until the run is to stop. */
  sleep(watch: Watch, millis: number): Effect.Effect<void> {
    if (millis <= 0) return Effect.void
    return Effect.callback<void>((resume) => {
      const done = () => {
        disarm()
        forget()
        resume(Effect.void)
      }
      const disarm = watch.after(millis, done)
      let forget = (): void => {}
      forget = this.onStop(done)
    })
  }

  /** Stops the run and waits until it has let go. */
  interrupt(reason: StopReason): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.stop(reason)
      return this.over
    })
  }
}

export class ActiveRun<A, E> extends Stoppable {
  readonly runId: RunId
  /** Identity of the definition, for whoever asks for the same run. */
  readonly definition: unknown
  readonly ended: Deferred.Deferred<Ended<A, E>> = Deferred.makeUnsafe()
  readonly over: Effect.Effect<void> = Effect.asVoid(Deferred.await(this.ended))

  constructor(runId: RunId, definition: unknown) {
    super()
    this.runId = runId
    this.definition = definition
  }
}
