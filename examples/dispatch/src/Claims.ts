import { Context, DateTime, type Duration, Effect, Layer, Option, Schema } from "effect"
import { type ReleasedClaim, staleness, type Ticket } from "./Ticket.ts"
import { Tracker } from "./Tracker.ts"
import { type TicketClaimed, type TicketClosed, TicketNotFound, type TrackerUnavailable } from "./TrackerError.ts"

/** An agent gave a ticket back that it does not have. */
export class ClaimNotHeld extends Schema.TaggedError<ClaimNotHeld>()("ClaimNotHeld", {
  agent: Schema.String,
  url: Schema.String
}) {
  override get message(): string {
    return `${this.agent} has no claim on the ticket ${this.url}`
  }

  /** What to do about it. */
  get hint(): string {
    return "The claim was given back, expired and released, or is another agent's. Claim the ticket to work on it."
  }
}

/** How agents share tickets: one agent per ticket, for a limited time. */
export class Claims extends Context.Service<Claims, {
  /** Claims an open ticket, or renews the agent's claim on it. */
  readonly claim: (
    agent: string,
    url: string
  ) => Effect.Effect<Ticket, TrackerUnavailable | TicketNotFound | TicketClosed | TicketClaimed>
  /** Gives a ticket back. */
  readonly release: (
    agent: string,
    url: string
  ) => Effect.Effect<ReleasedClaim, TrackerUnavailable | TicketNotFound | ClaimNotHeld>
  /** Releases every claim that expired or whose ticket is closed, by repository and number. */
  readonly releaseStale: Effect.Effect<ReadonlyArray<ReleasedClaim>, TrackerUnavailable>
}>()("@everbeat/example-dispatch/Claims") {
  /** Claims that last as long as given. */
  static readonly layerWith = (options: {
    readonly duration: Duration.Input
  }): Layer.Layer<Claims, never, Tracker> =>
    Layer.effect(
      Claims,
      Effect.gen(function*() {
        const tracker = yield* Tracker

        const claim = Effect.fn("Claims.claim")((agent: string, url: string) =>
          tracker.claim(agent, url, options.duration)
        )

        const release = Effect.fn("Claims.release")(function*(agent: string, url: string) {
          const ticket = yield* tracker.find(url)
          if (Option.isNone(ticket)) {
            return yield* new TicketNotFound({ url })
          }
          const released = ticket.value.claim?.agent === agent ? yield* tracker.release([ticket.value]) : []
          if (released.length === 0) {
            return yield* new ClaimNotHeld({ agent, url })
          }
          return releasedClaim(ticket.value, agent, "returned")
        })

        const releaseStale = Effect.gen(function*() {
          const released = yield* tracker.release(yield* tracker.stale)
          const now = yield* DateTime.now
          return released.flatMap((ticket) => {
            const reason = staleness(ticket, now)
            return ticket.claim === null || reason === undefined
              ? []
              : [releasedClaim(ticket, ticket.claim.agent, reason)]
          })
        }).pipe(Effect.withSpan("Claims.releaseStale"))

        return Claims.of({ claim, release, releaseStale })
      })
    )

  /** Claims that last for an hour. */
  static readonly layer: Layer.Layer<Claims, never, Tracker> = Claims.layerWith({ duration: "1 hour" })
}

// internal

const releasedClaim = (ticket: Ticket, agent: string, reason: ReleasedClaim["reason"]): ReleasedClaim => ({
  repository: ticket.repository,
  number: ticket.number,
  url: ticket.url,
  agent,
  reason
})
