import { Context, DateTime, type Duration, Effect, Layer, Option, Ref } from "effect"
import { isHeld, staleness, type Ticket, type TicketWrite } from "./Ticket.ts"
import { TicketClaimed, TicketClosed, TicketNotFound, TrackerUnavailable } from "./TrackerError.ts"

/** Takes the tracker down and up again, to see how its users cope. */
export class TrackerControl extends Context.Service<TrackerControl, {
  /** Whether the tracker answers. */
  readonly isAvailable: Effect.Effect<boolean>
  /** Takes the tracker down, or up again with everything it knew. */
  readonly setAvailable: (available: boolean) => Effect.Effect<void>
}>()("@everbeat/example-dispatch/TrackerControl") {
  /** A control of a tracker that is up. */
  static readonly layer: Layer.Layer<TrackerControl> = Layer.effect(
    TrackerControl,
    Effect.gen(function*() {
      const available = yield* Ref.make(true)
      return TrackerControl.of({
        isAvailable: Ref.get(available),
        setAvailable: (value) => Ref.set(available, value)
      })
    })
  )
}

/**
 * Dispatch's own issue tracker. Every operation is atomic: it happens completely or, if the tracker is unavailable, not
 * at all. Repeating an operation is always safe.
 */
export class Tracker extends Context.Service<Tracker, {
  /** The tickets of a repository by ascending number. */
  readonly list: (repository: string) => Effect.Effect<ReadonlyArray<Ticket>, TrackerUnavailable>
  /** The ticket with this address. */
  readonly find: (url: string) => Effect.Effect<Option.Option<Ticket>, TrackerUnavailable>
  /** Creates or changes tickets, all or none of them. Claims stay as they are. */
  readonly write: (writes: ReadonlyArray<TicketWrite>) => Effect.Effect<void, TrackerUnavailable>
  /** Gives an open ticket to an agent for a while. An agent that has it already renews its claim. */
  readonly claim: (
    agent: string,
    url: string,
    duration: Duration.Input
  ) => Effect.Effect<Ticket, TrackerUnavailable | TicketNotFound | TicketClosed | TicketClaimed>
  /** The tickets with a claim that expired or whose ticket is closed, by repository and number. */
  readonly stale: Effect.Effect<ReadonlyArray<Ticket>, TrackerUnavailable>
  /**
   * Takes the claims of these tickets back and says which tickets it were. A ticket that changed hands, or whose claim
   * was renewed, since it was read is left alone.
   */
  readonly release: (tickets: ReadonlyArray<Ticket>) => Effect.Effect<ReadonlyArray<Ticket>, TrackerUnavailable>
}>()("@everbeat/example-dispatch/Tracker") {
  /** A tracker in memory that is controlled by a `TrackerControl`. */
  static readonly layerNoDeps: Layer.Layer<Tracker, never, TrackerControl> = Layer.effect(
    Tracker,
    Effect.gen(function*() {
      const control = yield* TrackerControl
      const tickets = yield* Ref.make<ReadonlyMap<string, Ticket>>(new Map())

      const whenAvailable = (operation: string) =>
        Effect.flatMap(
          control.isAvailable,
          (available) => available ? Effect.void : Effect.fail(new TrackerUnavailable({ operation }))
        )

      const list = Effect.fn("Tracker.list")(function*(repository: string) {
        yield* whenAvailable(`list the tickets of ${repository}`)
        const all = [...(yield* Ref.get(tickets)).values()]
        return all.filter((ticket) => ticket.repository === repository).sort(byPlace)
      })

      const find = Effect.fn("Tracker.find")(function*(url: string) {
        yield* whenAvailable(`look up ${url}`)
        return Option.fromUndefinedOr(byUrl(yield* Ref.get(tickets), url))
      })

      const write = Effect.fn("Tracker.write")(function*(writes: ReadonlyArray<TicketWrite>) {
        yield* whenAvailable(`write ${writes.length} tickets`)
        const now = yield* DateTime.now
        yield* Ref.update(tickets, (tickets) => {
          const next = new Map(tickets)
          for (const write of writes) {
            const before = next.get(keyOf(write))
            next.set(keyOf(write), {
              ...write,
              claim: before?.claim ?? null,
              createdAt: before?.createdAt ?? now,
              updatedAt: now
            })
          }
          return next
        })
      })

      const claim = Effect.fn("Tracker.claim")(function*(agent: string, url: string, duration: Duration.Input) {
        yield* whenAvailable(`give ${url} to ${agent}`)
        const now = yield* DateTime.now
        // The check and the change are one step, so two agents cannot both see the ticket free.
        return yield* yield* Ref.modify(tickets, (tickets): [ClaimResult, ReadonlyMap<string, Ticket>] => {
          const before = byUrl(tickets, url)
          if (before === undefined) {
            return [new TicketNotFound({ url }), tickets]
          }
          if (before.state === "closed") {
            return [new TicketClosed({ url }), tickets]
          }
          if (before.claim !== null && before.claim.agent !== agent && isHeld(before, now)) {
            return [new TicketClaimed({ url, agent: before.claim.agent, expiresAt: before.claim.expiresAt }), tickets]
          }
          const claimedAt = before.claim?.agent === agent && isHeld(before, now) ? before.claim.claimedAt : now
          const after: Ticket = {
            ...before,
            claim: { agent, claimedAt, expiresAt: DateTime.addDuration(now, duration) },
            updatedAt: now
          }
          return [Effect.succeed(after), new Map(tickets).set(keyOf(after), after)]
        })
      })

      const stale = Effect.gen(function*() {
        yield* whenAvailable("look for stale claims")
        const now = yield* DateTime.now
        const all = [...(yield* Ref.get(tickets)).values()]
        return all.filter((ticket) => staleness(ticket, now) !== undefined).sort(byPlace)
      }).pipe(Effect.withSpan("Tracker.stale"))

      const release = Effect.fn("Tracker.release")(function*(claimed: ReadonlyArray<Ticket>) {
        yield* whenAvailable(`release ${claimed.length} claims`)
        const now = yield* DateTime.now
        return yield* Ref.modify(tickets, (tickets) => {
          const released = claimed.filter((ticket) => hasSameClaim(ticket, tickets.get(keyOf(ticket))))
          const next = new Map(tickets)
          for (const ticket of released) {
            const current = next.get(keyOf(ticket))
            if (current !== undefined) {
              next.set(keyOf(ticket), { ...current, claim: null, updatedAt: now })
            }
          }
          return [released, next]
        })
      })

      return Tracker.of({ list, find, write, claim, stale, release })
    })
  )

  /** A tracker in memory together with its control. */
  static readonly layer: Layer.Layer<Tracker | TrackerControl> = Tracker.layerNoDeps.pipe(
    Layer.provideMerge(TrackerControl.layer)
  )
}

// internal

type ClaimResult = Effect.Effect<Ticket, TicketNotFound | TicketClosed | TicketClaimed>

// Not the address: a renamed repository keeps its issue numbers while the addresses of its issues change.
const keyOf = (ticket: { readonly repository: string; readonly number: number }): string =>
  `${ticket.repository}#${ticket.number}`

const byUrl = (tickets: ReadonlyMap<string, Ticket>, url: string): Ticket | undefined =>
  [...tickets.values()].find((ticket) => ticket.url === url)

const byPlace = (a: Ticket, b: Ticket): number =>
  a.repository < b.repository ? -1 : a.repository > b.repository ? 1 : a.number - b.number

const hasSameClaim = (read: Ticket, current: Ticket | undefined): boolean =>
  read.claim !== null && current !== undefined && current.claim !== null &&
  read.claim.agent === current.claim.agent &&
  DateTime.toEpochMillis(read.claim.expiresAt) === DateTime.toEpochMillis(current.claim.expiresAt)
