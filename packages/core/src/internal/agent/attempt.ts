/** One attempt at a run: runs the agent, and sees to it that every way to end leaves the right thing behind. */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { AgentContext } from "../../AgentContext.ts"
import type { AgentRun } from "../../AgentRun.ts"
import type { EndOptions, WriteError } from "../../Checkpointer.ts"
import { ResultRefused } from "../../Fault.ts"
import type { MessageUnreadable } from "../../MessageCodec.ts"
import { EngineStopped, LeaseLost, PassCancelled } from "../../PassError.ts"
import { Gone, StoreError } from "../../StoreError.ts"
import type { SnapshotReason } from "../../WorkspaceSnapshot.ts"
import { valuesOf } from "../diagnose.ts"
import { takesMore } from "../takesMore.ts"
import type { Stoppable, StopReason } from "./activeRun.ts"
import { drive, type Driven } from "./drive.ts"
import * as Ledger from "./ledger.ts"
import { type Grant, isResumed, open, type Opened } from "./open.ts"
import { resumption } from "./resumption.ts"
import type { Runtime, Task } from "./runtime.ts"
import { warningOf } from "./warning.ts"

/** How an attempt ended: for good, to be continued here, handed over, taken away, or without a record. */
export type End<A, E> =
  | {
    readonly _tag: "Settled"
    readonly run: AgentRun
    readonly result: Effect.Effect<A, E | PassCancelled | ResultRefused>
  }
  | { readonly _tag: "Again"; readonly reason: string }
  | { readonly _tag: "Released"; readonly reason: string }
  | { readonly _tag: "Lost" }
  | { readonly _tag: "NotRecorded"; readonly error: StoreError }

const lost: End<never, never> = { _tag: "Lost" }

/** Bytes of JSON, in UTF-8, that the result of a run may take in its record. */
const maxResultBytes = 1024 * 1024

export const runAttempt = <M, A, E, R>(
  runtime: Runtime,
  task: Task<M, A, E, R>,
  grant: Grant,
  onOpen: Effect.Effect<void>,
  onStopped: (reason: string) => void
): Effect.Effect<End<A, E>, MessageUnreadable | StoreError> =>
  Effect.scoped(Effect.gen(function*() {
    const opened = yield* open(runtime, task, grant)
    yield* onOpen
    const attempt = new Attempt(runtime, task, opened, onStopped)
    if (opened.cancelled) return yield* attempt.cancelled
    const resume = isResumed(grant) ? yield* Effect.exit(resumption(task, grant, opened)) : undefined
    if (resume !== undefined && Exit.isFailure(resume)) return yield* attempt.notRestored(resume.cause)
    const { stopping } = task.run
    return yield* stopping === undefined ? attempt.run(resume?.value) : attempt.stopped(stopping)
  }))

class Attempt<M, A, E, R> {
  private readonly children = new Set<Stoppable>()
  private readonly runtime: Runtime
  private readonly task: Task<M, A, E, R>
  private readonly opened: Opened<M>
  /** Called when what the attempt leaves is kept, before the pause. */
  private readonly onStopped: (reason: string) => void

  constructor(
    runtime: Runtime,
    task: Task<M, A, E, R>,
    opened: Opened<M>,
    onStopped: (reason: string) => void
  ) {
    this.runtime = runtime
    this.task = task
    this.opened = opened
    this.onStopped = onStopped
  }

  run(resume: AgentContext<M>["resume"]): Effect.Effect<End<A, E>> {
    const { context, definition, run } = this.task
    const { graceMillis, timeoutMillis } = definition
    const loop = Effect.suspend(() => definition.run(this.context(resume)))
    return Effect.flatMap(
      // The services of the caller, with the span and the annotations of the attempt.
      Effect.flatMap(Effect.context<never>(), (own) =>
        drive(loop, {
          watch: this.runtime.hub.watch,
          context: Context.merge(context, own),
          run,
          timeoutMillis,
          graceMillis,
          stopped: this.opened.checkpointer.stopped,
          onStop: (why) => this.stopChildren(why === "cancelled" ? "cancelled" : "parent")
        })),
      (driven) => this.end(driven)
    )
  }

  /** Before it began. */
  stopped(why: StopReason): Effect.Effect<End<A, E>> {
    return this.end({ why, exit: Exit.interrupt(), error: undefined })
  }

  private end(driven: Driven<A, E>): Effect.Effect<End<A, E>> {
    this.opened.progress.closed = true
    return Effect.andThen(this.opened.files?.close ?? Effect.void, Effect.suspend(() => this.finish(driven)))
  }

  private context(resume: AgentContext<M>["resume"]): AgentContext<M> {
    const { attempt, checkpointer, files, maxAttempts, progress } = this.opened
    const { meta } = this.task
    const change = (f: (ledger: Ledger.Ledger) => Ledger.Ledger) =>
      Effect.sync(() => {
        if (!progress.closed) progress.change(f(progress.ledger))
      })
    return {
      runId: meta.runId,
      meta,
      attempt,
      maxAttempts,
      fence: checkpointer.lease?.fence,
      resume,
      checkpoint: progress.context,
      workspace: files?.context,
      warn: (warning) => change((ledger) => Ledger.warn(ledger, warningOf(warning))),
      touch: (url) => change((ledger) => Ledger.touch(ledger, url)),
      start: (agent, options) =>
        Effect.suspend(() =>
          progress.closed
            ? Effect.fail(new EngineStopped({}))
            : this.runtime.startChild(meta, agent, options, (child) => this.adopt(child))
        )
    }
  }

  private adopt(child: Stoppable): void {
    this.children.add(child)
    if (this.opened.progress.closed) child.stop("parent") // whoever was left behind started it
  }

  private finish({ error, exit, why }: Driven<A, E>): Effect.Effect<End<A, E>> {
    if (why === "lost") return Effect.as(this.endChildren("parent"), lost)
    if (exit !== undefined && Exit.isSuccess(exit)) return this.succeeded(exit.value)
    if (exit === undefined) this.remark("StillRunning", "An attempt ignored its interruption and was left behind.")
    switch (why) {
      case "cancelled":
        return this.cancelled
      case "timeout":
        return this.again("timeout", "timeout")
      case "store":
        return this.storeFailed(error)
      case "interrupted":
      case "parent":
        return this.released(why, "interrupt")
      case "shutdown":
        return this.released(why, "shutdown")
      case undefined:
        return this.failed(exit === undefined ? Cause.interrupt() : exit.cause)
    }
  }

  private succeeded(value: A): Effect.Effect<End<A, E>> {
    const { result } = this.task.definition
    if (result === undefined) return this.complete(value, undefined)
    const encoded = Effect.flatMap(
      Effect.mapError(Schema.encodeEffect(result)(value), (error) => error.message),
      (json) =>
        takesMore(JSON.stringify(json), maxResultBytes)
          ? Effect.fail(`it takes more than ${maxResultBytes} bytes of JSON`)
          : Effect.succeed(json)
    )
    return Effect.matchEffect(encoded, {
      onFailure: (issue) => this.settleFailed(Cause.fail(new ResultRefused({ issue }))),
      onSuccess: (json) => this.complete(value, json)
    })
  }

  private complete(value: A, result: Schema.Json | undefined): Effect.Effect<End<A, E>> {
    const { checkpointer, files } = this.opened
    return Effect.tap(
      this.settle(
        Effect.suspend(() => checkpointer.complete({ ...this.ending, ...(result === undefined ? {} : { result }) })),
        Effect.succeed(value)
      ),
      (end) => (end._tag === "Settled" && files !== undefined ? files.prune() : Effect.void)
    )
  }

  private failed(cause: Cause.Cause<E>): Effect.Effect<End<A, E>> {
    const error = Cause.findErrorOption(cause)
    if (error._tag === "Some") {
      // What a save has told the agent counts as if the agent had not heard it.
      const told: unknown = error.value
      if ((told instanceof LeaseLost || told instanceof Gone) && told.runId === this.task.meta.runId) {
        return Effect.as(this.endChildren("parent"), lost)
      }
      // It wanted to start another run while this process shuts down.
      if (told instanceof EngineStopped) return this.released("shutdown", "shutdown")
      if (told instanceof StoreError && this.task.definition.onStoreFailure === "stop") return this.storeFailed(told)
      return this.task.definition.resumeOn(error.value)
        ? this.again(warningOf(error.value)._tag, "interrupt")
        : this.settleFailed(cause)
    }
    // Interrupted from inside: it did not end, so it goes on.
    return Cause.hasInterruptsOnly(cause) ? this.again("interrupted", "interrupt") : this.settleFailed(cause)
  }

  private storeFailed(error: StoreError | undefined): Effect.Effect<End<A, E>> {
    return this.released(`store: ${error?.reason ?? "unknown"}`, "shutdown")
  }

  private settleFailed(cause: Cause.Cause<E | ResultRefused>): Effect.Effect<End<A, E>> {
    return Effect.andThen(
      this.endChildren("cancelled"),
      Effect.andThen(
        this.keepFiles("interrupt"),
        this.settle(
          Effect.suspend(() => this.opened.checkpointer.fail(cause, { ...this.ending, summary: undefined })),
          Effect.failCause(cause)
        )
      )
    )
  }

  get cancelled(): Effect.Effect<End<A, E>> {
    const { runId } = this.task.meta
    return this.endChildren("cancelled").pipe(
      Effect.andThen(this.keepFiles("interrupt")),
      Effect.andThen(
        this.settle(
          Effect.suspend(() => this.opened.checkpointer.cancel(this.ending)),
          Effect.fail(new PassCancelled({ runId }))
        )
      )
    )
  }

  notRestored(cause: Cause.Cause<unknown>): Effect.Effect<End<A, E>> {
    const [error] = valuesOf(cause)
    const reason = Predicate.isTagged(error, "Defect") ? "resume" : "workspace"
    this.opened.progress.closed = true
    return Effect.andThen(
      Effect.logWarning("A run could not be made ready to go on", cause),
      this.handOver(`${reason}: ${warningOf(error).message}`)
    )
  }

  /** Stopped, and to be continued here. The lease is held until the pause is over. */
  private again(reason: string, snapshot: SnapshotReason): Effect.Effect<End<A, E>> {
    return Effect.andThen(this.keep(snapshot, true), this.handOver(reason))
  }

  private handOver(reason: string): Effect.Effect<End<A, E>> {
    const { attempt, checkpointer, maxAttempts } = this.opened
    const { definition, run } = this.task
    // Behind the last one nothing is waited for.
    const pause = attempt < maxAttempts ? definition.backoffMillis(attempt) : 0
    return Effect.andThen(
      Effect.suspend(() => {
        this.onStopped(reason)
        return run.sleep(this.runtime.hub.watch, pause)
      }),
      Effect.suspend(() => {
        if (run.stopping === "cancelled") return this.cancelled
        const end: End<A, E> = { _tag: run.stopping === undefined ? "Again" : "Released", reason }
        if (end._tag === "Again") run.expectClaim()
        return Effect.as(checkpointer.release(reason), end)
      })
    )
  }

  /** Stopped, and to be continued by somebody else. */
  private released(reason: string, snapshot: SnapshotReason): Effect.Effect<End<A, E>> {
    return Effect.andThen(
      this.keep(snapshot, false),
      Effect.as(
        this.opened.checkpointer.release(reason, { shutdown: reason === "shutdown" }),
        {
          _tag: "Released",
          reason
        } as const
      )
    )
  }

  /** Stores the newest state, first what the agent knows, then its files. `patient`: as long as the lease lives. */
  private keep(snapshot: SnapshotReason, patient: boolean): Effect.Effect<void> {
    const { checkpointer, progress } = this.opened
    const said = Effect.ignore(progress.persist)
    const flushed = patient
      ? Effect.retry(checkpointer.flush, {
        while: (error) => error._tag === "StoreError" && error.isRetryable && !this.isStopping
      })
      : Effect.void // `release` does, as long as one answer of the store may take
    return this.endChildren("parent").pipe(
      Effect.andThen(said),
      Effect.andThen(this.opened.files?.final(snapshot) ?? Effect.void),
      Effect.andThen(said),
      Effect.andThen(Effect.ignore(flushed))
    )
  }

  /** The run is over, its work is not lost: the last snapshot stays for its time. */
  private keepFiles(reason: SnapshotReason): Effect.Effect<void> {
    const { files } = this.opened
    if (files === undefined) return Effect.void
    return Effect.map(files.final(reason), (snapshot) => {
      if (snapshot === undefined || snapshot.summary.files === 0) return
      const ref = snapshot.refs.find((name) => name.startsWith("refs/heads/"))?.slice("refs/heads/".length)
      this.remark("WorkspaceKept", `${snapshot.summary.files} changed files are kept in ${ref ?? snapshot.commit}.`)
    })
  }

  private settle(
    write: Effect.Effect<AgentRun, WriteError>,
    result: Effect.Effect<A, E | PassCancelled | ResultRefused>
  ): Effect.Effect<End<A, E>> {
    const schedule = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("5 seconds")])
    const insistent = Effect.retry(write, {
      schedule,
      while: (error) => error._tag === "StoreError" && error.isRetryable && !this.isStopping
    })
    return Effect.matchEffect(insistent, {
      onFailure: (error): Effect.Effect<End<A, E>> =>
        error._tag === "StoreError"
          ? Effect.as(this.opened.checkpointer.release("not recorded"), { _tag: "NotRecorded", error })
          : Effect.succeed(lost),
      onSuccess: (run) => Effect.succeed({ _tag: "Settled", run, result })
    })
  }

  /** What the record says beside how it ended. */
  private get ending(): EndOptions {
    const { attempt, progress: { iteration, ledger } } = this.opened
    const summary = `${count(iteration, "iteration")} in ${count(attempt, "attempt")}`
    return { summary, warnings: [...ledger.warnings, ...this.task.run.remarks], touchedIssueUrls: ledger.urls }
  }

  private get isStopping(): boolean {
    return this.task.run.stopping !== undefined
  }

  private remark(code: string, message: string): void {
    this.task.run.remark({ _tag: code, message })
  }

  private stopChildren(reason: "cancelled" | "parent"): void {
    for (const child of this.children) child.stop(reason)
  }

  /** Waits until the runs that this one started have let go: the next attempt continues them. */
  private endChildren(reason: "cancelled" | "parent"): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.stopChildren(reason)
      return Effect.forEach(this.children, (child) => child.over, {
        concurrency: "unbounded",
        discard: true
      })
    })
  }
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`
