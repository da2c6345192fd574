import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { DeadlineExceeded, Defect, OutcomeNotSaved, StepTimeout } from "../Fault.ts"
import type { StoreError } from "../StoreError.ts"
import type { CompiledStep, Definition } from "./definition.ts"
import { fromValue, type Live } from "./diagnose.ts"
import type { Journal } from "./journal.ts"
import { Launch } from "./launch.ts"
import type { Ended } from "./outcome.ts"
import { CurrentRun, type PassInfo, StepRun } from "./stepRun.ts"
import { accept, judge } from "./verdict.ts"

export interface RunnerSetup {
  readonly definition: Definition
  readonly info: PassInfo
  readonly recorded: Restored
  readonly journal: Journal
  readonly traced: (step: CompiledStep, body: Effect.Effect<unknown, unknown>) => Effect.Effect<unknown, unknown>
  /** Services of the caller, with which the steps run. */
  readonly contextOf: (step: CompiledStep) => Context.Context<never>
  /** Whether the pass may start a step at this monotonic time. When it may not, it is being stopped. */
  readonly holds: (now: number) => boolean
  readonly onStart: (step: string) => void
  readonly onEnd: (ended: Ended) => void
}

/** What earlier attempts recorded. */
export interface Restored {
  readonly outcomes: ReadonlyMap<string, Ended>
  /** Results that today's schemas could read back. */
  readonly results: ReadonlyMap<string, unknown>
}

/** How the steps of a pass ended, and what concerns the pass as a whole. */
export interface Steps {
  readonly ended: ReadonlyArray<Ended>
  readonly warnings: ReadonlyArray<Live>
  readonly errors: ReadonlyArray<Live>
}

/**
 * Runs the steps of one pass: in order, `concurrency` at a time, each on a
 * fiber of its own. Steps that end at once cost neither a timer nor a turn of
 * the event loop.
 */
export class PassRunner {
  private readonly ended: Array<Ended | undefined>
  private readonly results: Array<unknown>
  private readonly running = new Map<number, Launch<unknown, unknown>>()
  private readonly warnings: Array<Live> = []
  private readonly errors: Array<Live> = []
  private first = 0
  private halted = false
  private aborting = false
  private late: ((stillRunning: boolean) => DeadlineExceeded) | undefined
  private pumping = false
  private flushing = false
  private disarm: (() => void) | undefined
  private readonly deadline: number
  private done: (() => void) | undefined
  private readonly setup: RunnerSetup

  /** Outcomes of steps that are no longer listed: what they reported stays true. */
  private readonly orphans: ReadonlyArray<Ended>

  constructor(setup: RunnerSetup) {
    this.setup = setup
    this.orphans = orphansOf(setup)
    this.halted = setup.definition.stopOnCritical && this.orphans.some(failed)
    this.ended = Array.from({ length: setup.definition.steps.length })
    this.results = Array.from({ length: setup.definition.steps.length })
    this.deadline = setup.info.watch.now() + setup.definition.deadlineMillis
  }

  /** Runs until every step has ended. Interrupting it interrupts the steps, and waits for them for the grace. */
  readonly run: Effect.Effect<Steps> = Effect.suspend(() => {
    this.pump()
    if (this.finished) return Effect.succeed(this.steps())
    return Effect.callback<Steps>((resume) => {
      this.done = () => resume(Effect.succeed(this.steps()))
      if (this.finished) this.done()
      return Effect.suspend(() => this.stop())
    })
  })

  /** What has ended so far; the rest counts as skipped. */
  steps(): Steps {
    const ended = this.setup.definition.steps.map((step, index) => this.ended[index] ?? skipped(step.name))
    return { ended: [...ended, ...this.orphans], warnings: this.warnings, errors: this.errors }
  }

  /** The store failed where an outcome had to be durable before the next step. */
  storeFailed(error: StoreError): void {
    const stop = this.setup.definition.stopOnStoreFailure
    const severity = stop ? "error" : "warning"
    const fault = new OutcomeNotSaved({ reason: error.summary }) // the detail is for the log
    if (stop) this.halted = true
    const list = stop ? this.errors : this.warnings
    if (list.some(({ code }) => code === fault._tag)) return // told already
    list.push(fromValue(severity, undefined, fault, this.setup.info.watch.at()))
  }

  private get finished(): boolean {
    return this.first === this.ended.length
  }

  /** Ends and starts whatever can be ended or started now. */
  private pump(): void {
    if (this.pumping) return // a step ended inside `start`: the loop below goes on with it
    this.pumping = true
    const { concurrency, steps } = this.setup.definition
    for (let index = this.first; index < steps.length; index++) {
      const step = steps[index]
      if (step === undefined || this.ended[index] !== undefined || this.running.has(index)) continue
      if (this.restore(step, index)) continue
      if (this.halted || this.late !== undefined || step.dependencies.some((other) => failed(this.ended[other]))) {
        this.end(step, index, skipped(step.name), false)
        continue
      }
      if (step.dependencies.some((other) => this.ended[other] === undefined)) continue
      if (this.running.size >= concurrency) break
      if (this.setup.journal.mustFlush) {
        this.flush()
        if (this.halted) { // by what the store answered at once
          index--
          continue
        }
      }
      if (this.flushing) break
      const now = this.setup.info.watch.now()
      if (!this.setup.holds(now)) break
      if (now >= this.deadline) this.expire()
      else this.start(step, index)
      if (this.late !== undefined) index = this.first - 1 // the rest is skipped
    }
    while (this.first < this.ended.length && this.ended[this.first] !== undefined) this.first++
    this.pumping = false
    if (this.finished && !this.flushing) this.done?.()
    else if (this.running.size > 0 || this.flushing) {
      this.arm()
      this.setup.journal.schedule()
    }
  }

  private flush(): void {
    if (this.flushing) return
    this.flushing = true
    this.setup.journal.flush(() => {
      this.flushing = false
      this.pump() // which goes on by itself where the store answered at once
    })
  }

  /** Takes over what an earlier attempt recorded, unless what it left does not do for today's step. */
  private restore(step: CompiledStep, index: number): boolean {
    const { outcomes, results } = this.setup.recorded
    const before = outcomes.get(step.name)
    if (before === undefined) return false
    if (step.codec !== undefined && before.outcome.status !== "error") {
      if (results.has(step.name)) this.results[index] = results.get(step.name)
      else if (before.result !== undefined) return false // today's schema refuses it
      else if (step.fallback !== undefined) return false // the default is made as in the first place
      else if (!step.mayLack) return false
    }
    this.end(step, index, before, false)
    return true
  }

  private start(step: CompiledStep, index: number): void {
    try {
      this.launch(step, index)
    } catch (cause) { // a tracer that throws, say: an error of the step, not the end of the pass
      this.running.delete(index)
      this.end(step, index, this.died(step, cause), true)
    }
  }

  private died(step: CompiledStep, cause: unknown): Ended {
    const error = fromValue("error", step.name, new Defect({ cause }), this.setup.info.watch.at())
    return {
      ...skipped(step.name),
      outcome: { name: step.name, status: "error", attempts: 1, startedAt: error.at, millis: 0 },
      errors: [error]
    }
  }

  private launch(step: CompiledStep, index: number): void {
    const { contextOf, info, onStart, traced } = this.setup
    const run = new StepRun(step.name, info)
    const startedAt = this.setup.info.watch.at()
    const from = info.watch.now()
    let disarm: (() => void) | undefined
    onStart(step.name)

    let input = noInput
    if (step.aliases.length > 0) {
      input = Object.fromEntries(
        step.aliases.map(([alias], position) => [alias, this.results[step.dependencies[position] ?? -1]])
      )
    }
    const launch = new Launch<unknown, unknown>(info.watch, info.graceMillis, (exit) => {
      disarm?.()
      this.running.delete(index)
      if (this.aborting) { // interrupted with the pass: not an outcome, the step runs again
        run.seal()
        this.end(step, index, skipped(step.name), false)
        return this.pump()
      }
      const millis = info.watch.now() - from
      this.end(step, index, this.concluded(step, index, run, exit, launch.stopped, startedAt, millis), true)
      this.pump()
    })
    const body = accept(step, run, Effect.suspend(() => step.body(input)))
    this.running.set(index, launch) // before it starts: what it does then may stop the pass
    launch.start(Context.add(contextOf(step), CurrentRun, run), traced(step, body))
    if (launch.ended) return
    if (!step.timed) disarm = info.watch.after(this.setup.definition.stepMillis, () => launch.stop())
  }

  /** The outcome of a step from its exit. Whatever its values do when they are looked at, there is one. */
  private concluded(
    step: CompiledStep,
    index: number,
    run: StepRun,
    exit: Exit.Exit<unknown, unknown> | undefined,
    stopped: boolean,
    startedAt: DateTime.Utc,
    millis: number
  ): Ended {
    const { definition, info } = this.setup
    const stillRunning = exit === undefined
    try {
      const limit = stopped || stillRunning
        ? this.late?.(stillRunning) ??
          new StepTimeout({ step: step.name, millis: definition.stepMillis, stillRunning })
        : undefined
      if (limit === undefined && exit !== undefined && Exit.isFailure(exit) && Cause.hasDies(exit.cause)) {
        this.onDefect(step, exit.cause)
      }
      const { errors, result } = judge(step, run, exit, limit, info.watch.at())
      this.results[index] = result
      run.seal()
      const status = errors.length > 0 ? "error" : run.warnings.length > 0 ? "warning" : "ok"
      return {
        outcome: { name: step.name, status, attempts: run.attempt, startedAt, millis },
        result: run.encoded,
        warnings: run.warnings,
        errors,
        touched: run.touched ?? [],
        droppedWarnings: run.droppedWarnings,
        droppedUrls: run.droppedUrls,
        restored: false
      }
    } catch (cause) {
      run.seal()
      return this.died(step, cause)
    }
  }

  private end(step: CompiledStep, index: number, ended: Ended, record: boolean): void {
    this.ended[index] = ended
    if (ended.outcome.status === "error" && this.setup.definition.stopOnCritical) this.halted = true
    if (record) this.setup.journal.add(ended, step.sync)
    this.setup.onEnd(ended)
  }

  private onDefect(step: CompiledStep, cause: Cause.Cause<unknown>): void {
    Effect.runForkWith(this.setup.contextOf(step))(Effect.logError(`Step '${step.name}' died`, cause))
  }

  /** Arms the deadline, once, when the pass does not end at once. */
  private arm(): void {
    const { watch } = this.setup.info
    this.disarm ??= watch.after(Math.max(0, this.deadline - watch.now()), () => {
      this.expire()
      this.pump()
    })
  }

  /** The deadline has come: what runs is stopped, and nothing more is started. */
  private expire(): void {
    if (this.late !== undefined) return
    const millis = this.setup.definition.deadlineMillis
    this.late = (stillRunning) => new DeadlineExceeded({ millis, stillRunning })
    this.errors.push(fromValue("error", undefined, this.late(false), this.setup.info.watch.at()))
    for (const launch of [...this.running.values()]) launch.stop()
  }

  /** Interrupts every step and waits until all have ended or were left behind. */
  private stop(): Effect.Effect<void> {
    this.halted = true
    this.aborting = true
    for (const launch of [...this.running.values()]) launch.stop()
    if (this.running.size === 0) return Effect.void
    return Effect.callback<void>((resume) => {
      const poll = (): void => {
        if (this.running.size === 0) resume(Effect.void)
      }
      this.done = poll
      poll()
    })
  }
}

const noInput: Record<string, unknown> = {}

const orphansOf = ({ definition, recorded: { outcomes } }: RunnerSetup): ReadonlyArray<Ended> => {
  if (outcomes.size === 0) return [] // nearly every pass
  const listed = new Set(definition.steps.map(({ name }) => name))
  return [...outcomes.values()].filter(({ outcome }) => !listed.has(outcome.name))
}

const failed = (ended: Ended | undefined): boolean =>
  ended !== undefined && (ended.outcome.status === "error" || ended.outcome.status === "skipped")

const skipped = (name: string): Ended => ({
  outcome: { name, status: "skipped", attempts: 0, millis: 0 },
  result: undefined,
  warnings: [],
  errors: [],
  touched: [],
  droppedWarnings: 0,
  droppedUrls: 0,
  restored: false
})
