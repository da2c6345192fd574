/** Streams of events that are being read, so that a shutdown can wait until they have said how it ends. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** A reader that takes nothing for so long is none: events that are written nowhere hold up nobody. */
const patience = "50 millis"

export class OpenStreams {
  private open = 0
  /** Those whose reader waits for the next event now. */
  private waited = 0
  private taken = 0
  private readonly waiting = new Set<() => void>()

  private readonly none: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.open === 0) return resume(Effect.void)
    const wake = (): void => resume(Effect.void)
    this.waiting.add(wake)
    return Effect.sync(() => this.waiting.delete(wake))
  })

  private readonly unread: Effect.Effect<void> = Effect.suspend(() => {
    const before = this.taken
    return Effect.flatMap(
      Effect.sleep(patience),
      () => this.waited === 0 && this.taken === before ? Effect.void : this.unread
    )
  })

  /** Resolves when no stream is open, or none that anybody reads. */
  readonly over: Effect.Effect<void> = Effect.raceFirst(this.none, this.unread)

  readonly count = <A>(stream: Stream.Stream<A>): Stream.Stream<A> =>
    Stream.suspend(() => {
      this.open++
      return Stream.transformPull(stream, (pull) =>
        Effect.succeed(Effect.suspend(() => {
          this.waited++
          return Effect.ensuring(
            pull,
            Effect.sync(() => {
              this.waited--
              this.taken++
            })
          )
        }))).pipe(Stream.ensuring(Effect.sync(() => {
          if (--this.open > 0) return
          for (const wake of this.waiting) wake()
          this.waiting.clear()
        })))
    })
}
