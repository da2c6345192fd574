/** The progress of one pass as frames of server-sent events: numbered once, read by any number of clients. */
import { randomBytesUnsafe } from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Stream from "effect/Stream"

/** How often a comment keeps proxies from closing a quiet connection. */
const pingEvery = "15 seconds"

const ping = ": ping\n\n"

/** What a client is told first: how long to wait before it connects again. */
export const opening = "retry: 3000\n\n"

export const frameOf = (event: string, data: unknown, id?: string): string =>
  `${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`

/**
 * Frames are kept once for all readers, who come and take the next one: a client that never reads holds nothing but its
 * place. What a pass can say is bounded by the engine.
 */
export class Feed {
  /** Numbers of another feed, of another process or attempt, mean nothing here. */
  private readonly tag = Hex.encode(randomBytesUnsafe(4))
  private readonly frames: Array<string> = []
  private readonly waiting = new Set<() => void>()
  private readonly runId: string
  ended = false
  /** Whether it ended with the report: a pass that is interrupted here may be ended elsewhere. */
  concluded = false
  /** Of the text of all frames. */
  length = 0

  constructor(runId: string) {
    this.runId = runId
  }

  push(event: string, data: unknown): void {
    if (this.ended) return
    const frame = frameOf(event, data, `${this.runId}.${this.tag}.${this.frames.length + 1}`)
    this.frames.push(frame)
    this.length += frame.length
    this.wake()
  }

  end(): void {
    this.ended = true
    this.wake()
  }

  private wake(): void {
    const waiting = [...this.waiting]
    this.waiting.clear()
    for (const resume of waiting) resume()
  }

  /** The place after an event that a client has seen. */
  positionAfter(seen: EventId | undefined): number {
    return seen === undefined || seen.tag !== this.tag ? 0 : Math.min(seen.number, this.frames.length)
  }

  /** Whether there is nothing more to be told to a client that has seen this event. */
  isSeen(seen: EventId): boolean {
    return this.ended && this.positionAfter(seen) === this.frames.length
  }

  private next(position: number): Effect.Effect<string | undefined> {
    return Effect.suspend(() => {
      const frame = this.frames[position]
      if (frame !== undefined || this.ended) return Effect.succeed(frame)
      return Effect.callback<void>((resume) => {
        const wake = (): void => resume(Effect.void)
        this.waiting.add(wake)
        return Effect.sync(() => this.waiting.delete(wake))
      }).pipe(Effect.andThen(this.next(position)))
    })
  }

  read(from: number): Stream.Stream<string> {
    return Stream.unfold(from, (position) =>
      Effect.map(
        Effect.timeoutOrElse(this.next(position), {
          duration: pingEvery,
          orElse: () => Effect.succeed(ping)
        }),
        (frame) => frame === undefined ? undefined : [frame, frame === ping ? position : position + 1] as const
      ))
  }
}

export interface EventId {
  readonly runId: string
  readonly tag: string
  readonly number: number
}

export const parseEventId = (header: string): EventId | undefined => {
  const [, runId, tag, number] = /^([0-9a-f-]{36})\.([0-9a-f]{8}|record|steps)\.(\d{1,6})$/u.exec(header) ?? []
  return runId === undefined || tag === undefined ? undefined : { runId, tag, number: Number(number) }
}
