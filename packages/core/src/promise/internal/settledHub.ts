/** Tells the host of settled runs: by a callback, and to any number of readers at their own pace. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { SettledRun } from "../Run.ts"

/** Runs that wait for one slow reader at most. */
const maxWaiting = 1024

interface Reader {
  readonly waiting: Array<SettledRun>
  readonly asking: Set<() => void>
}

export class SettledHub implements AsyncIterable<SettledRun> {
  private readonly readers = new Set<Reader>()
  private readonly calls = new Set<Promise<unknown>>()
  private readonly onSettled: ((run: SettledRun) => unknown) | undefined
  private ended = false

  constructor(onSettled: ((run: SettledRun) => unknown) | undefined) {
    this.onSettled = onSettled
  }

  publish(run: SettledRun): void {
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

  end(): void {
    this.ended = true
    for (const reader of this.readers) wake(reader)
  }

  [Symbol.asyncIterator](): AsyncIterator<SettledRun> {
    const reader: Reader = { waiting: [], asking: new Set() }
    this.readers.add(reader) // now, not with the first `next`: what settles in between is not lost
    const done = { done: true, value: undefined } as const
    const next = (): Promise<IteratorResult<SettledRun, undefined>> => {
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

const wake = ({ asking }: Reader): void => {
  for (const resume of asking) resume()
  asking.clear()
}
