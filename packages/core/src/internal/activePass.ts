import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { EndError } from "../PassError.ts"
import type { AnyReport, PassEvent } from "../Report.ts"
import type { RunId } from "../RunId.ts"
import type { Live } from "./diagnose.ts"

/** A pass event whose channels are erased. */
export type AnyEvent =
  | Exclude<PassEvent<never, never>, { readonly _tag: "Warned" | "PassEnded" }>
  | { readonly _tag: "Warned"; readonly warning: Live }
  | { readonly _tag: "PassEnded"; readonly report: AnyReport }

export type PassExit = Exit.Exit<AnyReport, EndError>

type EventQueue = Queue.Queue<AnyEvent, EndError | Cause.Done>

/** Events that a late reader gets to see. */
const replay = 1024

/** What a caller sees of a pass. */
export type PassView = Pick<ActivePass, "runId" | "origin" | "report" | "events" | "interrupt">

/** A pass that the engine owns, and those who watch it. */
export class ActivePass {
  private exit: PassExit | undefined
  private readonly log: Array<AnyEvent> = []
  private readonly readers = new Set<EventQueue>()
  private readonly waiters = new Set<(exit: PassExit) => void>()
  interrupt: Effect.Effect<void> = Effect.void
  /** Stops the pass, which is then recorded as cancelled. */
  cancel: () => void = () => {}
  readonly runId: RunId
  readonly origin: AnyReport["origin"]

  /** Name of the heartbeat. */
  readonly heartbeat: string | undefined

  constructor(runId: RunId, origin: AnyReport["origin"], heartbeat: string | undefined) {
    this.runId = runId
    this.origin = origin
    this.heartbeat = heartbeat
  }

  /** The same pass, as a caller sees it that joined it. */
  get joined(): PassView {
    const { events, interrupt, report, runId } = this
    return {
      runId,
      origin: "joined",
      report: Effect.map(report, (report) => ({ ...report, origin: "joined" })),
      events,
      interrupt
    }
  }

  emit(event: AnyEvent): void {
    this.log.push(event)
    if (this.log.length > replay * 2) this.log.splice(0, replay)
    for (const reader of this.readers) Queue.offerUnsafe(reader, event)
  }

  end(exit: PassExit): void {
    this.exit = exit
    if (Exit.isSuccess(exit)) this.emit({ _tag: "PassEnded", report: exit.value })
    for (const reader of this.readers) finish(reader, exit)
    this.readers.clear()
    for (const waiter of this.waiters) waiter(exit)
    this.waiters.clear()
  }

  get report(): Effect.Effect<AnyReport, EndError> {
    return Effect.suspend(() => {
      if (this.exit !== undefined) return this.exit
      return Effect.callback<AnyReport, EndError>((resume) => {
        this.waiters.add(resume)
        return Effect.sync(() => this.waiters.delete(resume))
      })
    })
  }

  get events(): Stream.Stream<AnyEvent, EndError> {
    return Stream.callback(
      (queue) =>
        Effect.suspend(() => {
          for (const event of this.log.slice(-replay)) Queue.offerUnsafe(queue, event)
          if (this.exit !== undefined) return Effect.sync(() => finish(queue, this.exit))
          this.readers.add(queue)
          return Effect.addFinalizer(() => Effect.sync(() => this.readers.delete(queue)))
        }),
      { bufferSize: replay, strategy: "sliding" }
    )
  }
}

const finish = (queue: EventQueue, exit: PassExit | undefined): void => {
  if (exit !== undefined && Exit.isFailure(exit)) Queue.failCauseUnsafe(queue, exit.cause)
  else Queue.endUnsafe(queue)
}
