/** Streams of events that are being read, so that a shutdown can wait until they have said how it ends. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

export class OpenStreams {
  private open = 0
  private readonly waiting = new Set<() => void>()

  /** Resolves when no stream is open. */
  readonly none: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.open === 0) return resume(Effect.void)
    const wake = (): void => resume(Effect.void)
    this.waiting.add(wake)
    return Effect.sync(() => this.waiting.delete(wake))
  })

  readonly count = <A>(stream: Stream.Stream<A>): Stream.Stream<A> =>
    Stream.suspend(() => {
      this.open++
      return Stream.ensuring(
        stream,
        Effect.sync(() => {
          if (--this.open > 0) return
          for (const wake of this.waiting) wake()
          this.waiting.clear()
        })
      )
    })
}
