import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { AgentEndError } from "../../AgentError.ts"
import type { AgentRun } from "../../AgentRun.ts"
import type { Granted } from "../../Checkpointer.ts"
import type { Resumed } from "../../CheckpointStore.ts"
import type { RecordedFailure, ResultRefused } from "../../Fault.ts"
import type { RunId } from "../../RunId.ts"
import type { Watch } from "../watch.ts"
import type { Warning } from "./ledger.ts"

/** Why a run is to stop here before it has ended. */
export type StopReason = "cancelled" | "interrupted" | "parent" | "shutdown"

/** How a run ended in this process. `result` is what the agent answered or failed with. */
export interface Ended<A, E> {
  readonly result: Effect.Effect<A, E | AgentEndError | RecordedFailure | ResultRefused>
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
      return Effect.sync(() => {
        disarm()
        forget()
      })
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
  /** What the supervisor has to say about the run. It goes into the record, and is no progress of the agent. */
  readonly remarks: Array<Warning> = []
  /** Somebody was told that an attempt has started. */
  announced = false
  /** The claim of the next attempt, when somebody else in this process got it while this run waited for its own. */
  private handed: Granted<Resumed> | undefined
  private awaiting: (() => void) | undefined
  /** Identity of the definition, for whoever asks for the same run. */
  readonly definition: unknown
  readonly ended: Deferred.Deferred<Ended<A, E>> = Deferred.makeUnsafe()
  readonly over: Effect.Effect<void> = Effect.asVoid(Deferred.await(this.ended))

  constructor(runId: RunId, definition: unknown) {
    super()
    this.runId = runId
    this.definition = definition
  }

  remark(warning: Warning): void {
    const same = ({ _tag, message }: Warning) => _tag === warning._tag && message === warning.message
    if (!this.remarks.some(same)) this.remarks.push(warning)
  }

  /** Between two attempts the run belongs to whoever claims it first: in this process it goes on here all the same. */
  expectClaim(): void {
    this.awaiting = () => {}
  }

  /** Answers `false` when the run is not waiting for a claim. */
  hand(granted: Granted<Resumed>): boolean {
    if (this.awaiting === undefined) return false
    this.handed = granted
    this.awaiting()
    return true
  }

  /** Waits so long for a claim, less when the run is to stop. */
  awaitClaim(watch: Watch, millis: number): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.handed === undefined
        ? Effect.raceFirst(
          this.sleep(watch, millis),
          Effect.callback<void>((resume) => {
            this.awaiting = () => resume(Effect.void)
          })
        )
        : Effect.void
    )
  }

  /** Waits no longer, and answers the claim that was handed over. */
  takeClaim(): Granted<Resumed> | undefined {
    const { handed } = this
    this.handed = undefined
    this.awaiting = undefined
    return handed
  }
}
