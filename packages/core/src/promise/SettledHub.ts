/**
 * Tells a host of settled runs: by a callback, and to any number of readers at
 * their own pace.
 *
 * It is shared with packages that build on core, such as `@everbeat/http`. A
 * host reads `settled` of its instance or its handler.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** Runs that wait for one slow reader at most. */
const maxWaiting = 1024

interface Reader<Run> {
  readonly waiting: Array<Run>
  readonly asking: Set<() => void>
}

/**
 * Passes on the runs that end, each to the callback `onSettled` and to everybody
 * who iterates.
 *
 * **When to use**
 *
 * Use in a package that offers settled runs to hosts that do not use Effect.
 *
 * **Details**
 *
 * A reader is told of what is published from the moment that it asks for an
 * iterator, until `end`. A slow one loses the oldest of 1,024 runs, and never
 * slows who publishes. What the callback throws is logged.
 *
 * **Example** (Reading what settles)
 *
 * ```ts
 * import { SettledHub } from "@everbeat/core/promise/SettledHub"
 *
 * const called: Array<string> = []
 * const hub = new SettledHub<string>((run) => called.push(run))
 * const reader = hub[Symbol.asyncIterator]()
 * hub.publish("run-1")
 * hub.end()
 * await reader.next() // => { done: false, value: "run-1" }
 * await reader.next() // => { done: true, value: undefined }
 * await hub.called
 * called // => ["run-1"]
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export class SettledHub<Run> implements AsyncIterable<Run> {
  private readonly readers = new Set<Reader<Run>>()
  private readonly calls = new Set<Promise<unknown>>()
  private readonly onSettled: ((run: Run) => unknown) | undefined
  private ended = false

  constructor(onSettled: ((run: Run) => unknown) | undefined) {
    this.onSettled = onSettled
  }

  /** Hands a run to the callback and to every reader; never waits for them. */
  publish(run: Run): void {
    for (const reader of this.readers) {
      reader.waiting.push(run)
      if (reader.waiting.length > maxWaiting) reader.waiting.shift()
      wake(reader)
    }
    const { onSettled } = this
    if (onSettled === undefined) return
    const call = Promise.resolve().then(() => onSettled(run)).catch((error: unknown) =>
      Effect.runPromise(Effect.logError(`onSettled failed: ${Cause.pretty(Cause.fail(error))}`)).catch(() => undefined)
    )
    this.calls.add(call)
    void call.finally(() => this.calls.delete(call))
  }

  /** Resolves when the callbacks that were called have ended. */
  get called(): Promise<unknown> {
    return Promise.allSettled(this.calls)
  }

  /** Ends every reader, once it has read what waits for it. */
  end(): void {
    this.ended = true
    for (const reader of this.readers) wake(reader)
  }

  /** Begins a reader of what is published from now on. */
  [Symbol.asyncIterator](): AsyncIterator<Run> {
    const reader: Reader<Run> = { waiting: [], asking: new Set() }
    this.readers.add(reader) // now, not with the first `next`: what settles in between is not lost
    const done = { done: true, value: undefined } as const
    const next = (): Promise<IteratorResult<Run, undefined>> => {
      const value = reader.waiting.shift()
      if (value !== undefined) return Promise.resolve({ done: false, value })
      if (this.ended || !this.readers.has(reader)) return Promise.resolve(done)
      return new Promise<void>((resolve) => reader.asking.add(resolve)).then(next)
    }
    return {
      next,
      return: () => {
        this.readers.delete(reader)
        reader.waiting.length = 0
        wake(reader)
        return Promise.resolve(done)
      }
    }
  }
}

const wake = ({ asking }: Pick<Reader<never>, "asking">): void => {
  for (const resume of asking) resume()
  asking.clear()
}
