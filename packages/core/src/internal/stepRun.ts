import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Json } from "effect/Schema"
import type { AgentName } from "../AgentName.ts"
import type { RunId } from "../RunId.ts"
import { fromValue, type Live } from "./diagnose.ts"
import { touchedUrl } from "./touchedUrl.ts"
import type { Timers } from "./watch.ts"

/** Diagnostics, and touched URLs, that one pass reports at most. */
export const maxPerPass = 1000

/** What all steps of a pass share. */
export interface PassInfo {
  readonly runId: RunId
  readonly agentName: AgentName
  readonly fence: number
  readonly payload: Json | undefined
  readonly watch: Timers
  readonly graceMillis: number
  readonly onWarn: (diagnostic: Live) => void
}

/** How far the warnings of a step have come. */
export interface Mark {
  readonly warnings: number
  readonly dropped: number
}

/** Mutable state of one running step: the live object behind `Step.Current`. */
export class StepRun {
  readonly warnings: Array<Live> = []
  touched: Set<string> | undefined = undefined
  droppedWarnings = 0
  droppedUrls = 0
  attempt = 1
  /** The result as JSON text, once the step's codec has accepted it: later changes of the value are not in it. */
  encoded: string | undefined = undefined
  private tries = 0
  private sealed = false
  readonly step: string
  readonly pass: PassInfo

  constructor(step: string, pass: PassInfo) {
    this.step = step
    this.pass = pass
  }

  get runId(): RunId {
    return this.pass.runId
  }
  get agentName(): AgentName {
    return this.pass.agentName
  }
  get fence(): number {
    return this.pass.fence
  }
  get payload(): Json | undefined {
    return this.pass.payload
  }

  warn(value: unknown): void {
    if (this.sealed) return
    if (this.warnings.length >= maxPerPass) {
      this.droppedWarnings++
      return
    }
    const diagnostic = fromValue("warning", this.step, value, this.pass.watch.at())
    this.warnings.push(diagnostic)
    this.pass.onWarn(diagnostic)
  }

  touch(url: string | URL): void {
    if (this.sealed) return
    const href = touchedUrl(url)
    if (href === undefined) return
    const touched = this.touched ??= new Set()
    if (touched.has(href)) return
    if (touched.size >= maxPerPass) this.droppedUrls++
    else touched.add(href)
  }

  /** What there is before a step's first try. */
  mark(): Mark {
    return { warnings: this.warnings.length, dropped: this.droppedWarnings }
  }

  /** Begins a try: the warnings of the try before it are dropped. */
  begin(mark: Mark): void {
    this.warnings.length = mark.warnings
    this.droppedWarnings = mark.dropped
    this.attempt = ++this.tries
  }

  /** After its end a step that was left behind can no longer change the report. */
  seal(): void {
    this.sealed = true
  }
}

/** Key of `Step.Current`, typed by the live object behind it. */
export const CurrentRun = Context.Service<StepRun>("@everbeat/core/Step/Current")

/** Runs with the live state of the step that the calling fiber belongs to. */
export const withRun = <A, E>(f: (run: StepRun) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.withFiber((fiber) => f(Context.getUnsafe(fiber.context, CurrentRun)))
