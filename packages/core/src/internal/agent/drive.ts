/** Runs the loop of an agent until it ends or has to stop. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Stopped } from "../../Checkpointer.ts"
import type { StoreError } from "../../StoreError.ts"
import { Launch } from "../launch.ts"
import type { Watch } from "../watch.ts"
import type { Stoppable, StopReason } from "./activeRun.ts"

/** Why the loop was stopped, if it was. */
export type Why = StopReason | "lost" | "store" | "timeout"

/** How the loop ended. Without an `exit` it ignored its interruption and was left behind. */
export interface Driven<A, E> {
  readonly why: Why | undefined
  readonly exit: Exit.Exit<A, E> | undefined
  /** With `store`: what the store said. */
  readonly error: StoreError | undefined
}

export interface DriveSetup<R> {
  readonly watch: Watch
  readonly context: Context.Context<R>
  readonly run: Stoppable
  readonly timeoutMillis: number
  readonly graceMillis: number
  /** Fails when the owner has to stop. */
  readonly stopped: Effect.Effect<never, Stopped>
  readonly onStop: (why: Why) => void
}

const whyOf = (error: Stopped): Why =>
  error._tag === "PassCancelled" ? "cancelled" : error._tag === "StoreError" ? "store" : "lost"

export const drive = <A, E, R>(effect: Effect.Effect<A, E, R>, setup: DriveSetup<R>): Effect.Effect<Driven<A, E>> =>
  Effect.callback<Driven<A, E>>((resume) => {
    const { context, graceMillis, onStop, run, stopped, timeoutMillis, watch } = setup
    let why: Why | undefined
    let error: StoreError | undefined
    const launch = new Launch<A, E>(watch, graceMillis, (exit) => {
      disarm()
      forget()
      watcher.interruptUnsafe()
      resume(Effect.succeed({ why, exit, error }))
    })
    const stop = (reason: Why): void => {
      if (launch.ended || why !== undefined) return
      why = reason
      onStop(reason)
      launch.stop()
    }
    let disarm = (): void => {}
    let forget = (): void => {}
    const watcher = Effect.runForkWith(context)(stopped)
    // The services of the loop are those of the context.
    launch.start(context, effect as Effect.Effect<A, E>)
    if (launch.ended) return
    watcher.addObserver((exit) => {
      const found = Exit.findErrorOption(exit)
      if (found._tag === "None") return
      if (found.value._tag === "StoreError") error = found.value
      stop(whyOf(found.value))
    })
    disarm = watch.after(timeoutMillis, () => stop("timeout"))
    forget = run.onStop(stop)
    if (launch.ended) { // one of the three stopped it at once
      disarm()
      forget()
    }
  })
