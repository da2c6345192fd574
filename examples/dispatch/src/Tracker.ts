import { Context, DateTime, type Duration, Effect, Layer, Option, Ref, Schema } from "effect"
import { State } from "./State.ts"
import { isHeld, staleness, Ticket, type TicketWrite } from "./Ticket.ts"
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
 * Dispatch's own issue tracker. Every operation is atomic: it happens completely or not at all, also among processes
 * that share the tracker. Repeating an operation is always safe.
 */
export class Tracker extends Context.Service<Tracker, {
  /** The tickets of a repository by ascending number. */
  readonly list: (repository: string) => Effect.Effect<ReadonlyArray<Ticket>, TrackerUnavailable>
  /** The ticket with this address. */
  readonly find: (url: string) => Effect.Effect<Option.Option<Ticket>, TrackerUnavailable>
  /** Creates or changes tickets, all or none of them. Claims stay as they are. */
  readonly write: (writes: ReadonlyArray<TicketWrite>) => Effect.Effect<void, TrackerUnavailable>
  /** Writes these tickets unless one of them is no longer as it was seen, and says whether it did. */
  readonly writeIfUnchanged: (
    writes: ReadonlyArray<TicketWrite>,
    seen: ReadonlyArray<Ticket>
  ) => Effect.Effect<boolean, TrackerUnavailable>
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
  /** A tracker in Dispatch's state that is controlled by a `TrackerControl`. */
  static readonly layerNoDeps: Layer.Layer<Tracker, never, TrackerControl | State> = Layer.effect(
    Tracker,
    Effect.gen(function*() {
      const control = yield* TrackerControl
      const state = yield* State
      // All tickets are one document: a batch is written as a whole, whatever repositories it is for.
      const cell = state.cell<ReadonlyArray<Ticket>>("tickets", Schema.Array(Ticket), [])

      const read = (operation: string) => Effect.map(cell.get(operation), byKey)
      const modify = <A>(operation: string, change: (tickets: Tickets) => readonly [result: A, next: Tickets]) =>
        cell.modify(operation, (all): readonly [A, ReadonlyArray<Ticket>] => {
          const tickets = byKey(all)
          const [result, next] = change(tickets)
          return [result, next === tickets ? all : [...next.values()]]
        })

      const whenAvailable = (operation: string) =>
        Effect.flatMap(
          control.isAvailable,
          (available) =>
            available ? Effect.void : Effect.fail(new TrackerUnavailable({ operation, outcome: "nothing" }))
        )

      const list = Effect.fn("Tracker.list")(function*(repository: string) {
        const operation = `list the tickets of ${repository}`
        yield* whenAvailable(operation)
        const all = [...(yield* read(operation)).values()]
        return all.filter((ticket) => ticket.repository === repository).sort(byPlace)
      })

      const find = Effect.fn("Tracker.find")(function*(url: string) {
        const operation = `look up ${url}`
        yield* whenAvailable(operation)
        return Option.fromUndefinedOr(byUrl(yield* read(operation), url))
      })

      const write = Effect.fn("Tracker.write")(function*(writes: ReadonlyArray<TicketWrite>) {
        const operation = `write ${writes.length} tickets`
        yield* whenAvailable(operation)
        const now = yield* DateTime.now
        yield* modify(operation, (tickets) => [undefined, written(tickets, writes, now)])
      })

      const writeIfUnchanged = Effect.fn("Tracker.writeIfUnchanged")(
        function*(writes: ReadonlyArray<TicketWrite>, seen: ReadonlyArray<Ticket>) {
          const operation = `write ${writes.length} tickets`
          yield* whenAvailable(operation)
          const now = yield* DateTime.now
          const before = byKey(seen)
          return yield* modify(operation, (tickets) => {
            const unchanged = writes.every((write) => saysTheSame(before.get(keyOf(write)), tickets.get(keyOf(write))))
            return [unchanged, unchanged ? written(tickets, writes, now) : tickets]
          })
        }
      )

      const claim = Effect.fn("Tracker.claim")(function*(agent: string, url: string, duration: Duration.Input) {
        const operation = `give ${url} to ${agent}`
        yield* whenAvailable(operation)
        const now = yield* DateTime.now
        // The check and the change are one step, so two agents cannot both see the ticket free.
        return yield* yield* modify(operation, (tickets): [ClaimResult, Tickets] => {
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
        const operation = "look for stale claims"
        yield* whenAvailable(operation)
        const now = yield* DateTime.now
        const all = [...(yield* read(operation)).values()]
        return all.filter((ticket) => staleness(ticket, now) !== undefined).sort(byPlace)
      }).pipe(Effect.withSpan("Tracker.stale"))

      const release = Effect.fn("Tracker.release")(function*(claimed: ReadonlyArray<Ticket>) {
        const operation = `release ${claimed.length} claims`
        yield* whenAvailable(operation)
        const now = yield* DateTime.now
        return yield* modify(operation, (tickets) => {
          const released = claimed.filter((ticket) => hasSameClaim(ticket, tickets.get(keyOf(ticket))))
          if (released.length === 0) return [released, tickets]
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

      return Tracker.of({ list, find, write, writeIfUnchanged, claim, stale, release })
    })
  )

  /** A tracker in Dispatch's state together with its control. */
  static readonly layerState: Layer.Layer<Tracker | TrackerControl, never, State> = Tracker.layerNoDeps.pipe(
    Layer.provideMerge(TrackerControl.layer)
  )

  /** A tracker in memory together with its control. */
  static readonly layer: Layer.Layer<Tracker | TrackerControl> = Tracker.layerState.pipe(
    Layer.provide(State.layerMemory)
  )
}

// internal

type ClaimResult = Effect.Effect<Ticket, TicketNotFound | TicketClosed | TicketClaimed>

type Tickets = ReadonlyMap<string, Ticket>

const byKey = (tickets: ReadonlyArray<Ticket>): Tickets => new Map(tickets.map((ticket) => [keyOf(ticket), ticket]))

const written = (tickets: Tickets, writes: ReadonlyArray<TicketWrite>, now: DateTime.Utc): Tickets => {
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
}

/** Whether two tickets agree about what the forge said; claims are of no concern. */
const saysTheSame = (a: Ticket | undefined, b: Ticket | undefined): boolean => {
  const said = (ticket: Ticket | undefined) =>
    ticket === undefined
      ? ""
      : JSON.stringify([
        ticket.title,
        ticket.state,
        ticket.assignee,
        ticket.url,
        DateTime.toEpochMillis(ticket.forgeUpdatedAt)
      ])
  return said(a) === said(b)
}

// Not the address: a renamed repository keeps its issue numbers while the addresses of its issues change.
const keyOf = (ticket: { readonly repository: string; readonly number: number }): string =>
  `${ticket.repository}#${ticket.number}`

const byUrl = (tickets: Tickets, url: string): Ticket | undefined =>
  [...tickets.values()].find((ticket) => ticket.url === url)

const byPlace = (a: Ticket, b: Ticket): number =>
  a.repository < b.repository ? -1 : a.repository > b.repository ? 1 : a.number - b.number

const hasSameClaim = (read: Ticket, current: Ticket | undefined): boolean =>
  read.claim !== null && current !== undefined && current.claim !== null &&
  read.claim.agent === current.claim.agent &&
  DateTime.toEpochMillis(read.claim.expiresAt) === DateTime.toEpochMillis(current.claim.expiresAt)
