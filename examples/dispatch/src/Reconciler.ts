import { Context, Effect, Layer, Option, Schema, Semaphore } from "effect"
import { type Issue, RepositoryName } from "./Issue.ts"
import { Mirror } from "./Mirror.ts"
import type { Ticket, TicketWrite } from "./Ticket.ts"
import { Tracker } from "./Tracker.ts"
import type { TrackerUnavailable } from "./TrackerError.ts"

/** How a ticket differed from its issue. */
const ChangeKind = Schema.Literals(["opened", "closed", "reopened", "retitled", "reassigned"])

/** How a ticket differed from its issue. */
export type ChangeKind = typeof ChangeKind.Type

/** A ticket that was brought in line with its issue. */
export const TicketChange = Schema.Struct({
  repository: RepositoryName,
  number: Schema.Int,
  url: Schema.String,
  title: Schema.String,
  kinds: Schema.NonEmptyArray(ChangeKind)
})

/** A ticket that was brought in line with its issue. */
export type TicketChange = typeof TicketChange.Type

/** A repository was to be reconciled that was never synced. */
export class SnapshotMissing extends Schema.TaggedError<SnapshotMissing>()("SnapshotMissing", {
  repository: Schema.String
}) {
  override get message(): string {
    return `Dispatch has no copy of the issues of ${this.repository} to reconcile its tickets with`
  }

  /** What to do about it. */
  get hint(): string {
    return `Sync ${this.repository} first, then reconcile again. No ticket was changed.`
  }
}

/** Brings Dispatch's tickets in line with the mirrored issues of the forge. */
export class Reconciler extends Context.Service<Reconciler, {
  /**
   * Reconciles the tickets of these repositories, in this order, and returns what changed. All changes are written in
   * one atomic batch, so a failure changes nothing. Other repositories are left alone: a repository whose sync failed
   * must not lose its tickets. An issue the forge no longer lists, because it was deleted or moved, counts as closed.
   */
  readonly reconcile: (
    repositories: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyArray<TicketChange>, TrackerUnavailable | SnapshotMissing>
}>()("@everbeat/example-dispatch/Reconciler") {
  /** Reconciles the tracker with the mirror. */
  static readonly layer: Layer.Layer<Reconciler, never, Mirror | Tracker> = Layer.effect(
    Reconciler,
    Effect.gen(function*() {
      const mirror = yield* Mirror
      const tracker = yield* Tracker
      // Two passes over the same tickets would both report the same changes as theirs.
      const semaphore = yield* Semaphore.make(1)

      const reconcile = Effect.fn("Reconciler.reconcile")(function*(repositories: ReadonlyArray<string>) {
        for (;;) {
          const found: Array<{ readonly change: TicketChange; readonly write: TicketWrite }> = []
          const refreshed: Array<TicketWrite> = []
          const seen: Array<Ticket> = []
          for (const repository of new Set(repositories)) {
            // The tickets first: whoever changes them in between knew the same snapshot or a newer one.
            const tickets = yield* tracker.list(repository)
            const snapshot = yield* mirror.get(repository)
            if (Option.isNone(snapshot)) {
              return yield* new SnapshotMissing({ repository })
            }
            const result = compare(snapshot.value.issues, tickets)
            seen.push(...tickets)
            found.push(...result.found)
            refreshed.push(...result.refreshed)
          }
          const writes = [...found.map(({ write }) => write), ...refreshed]
          // Another process with the same tickets may have been faster: then its changes are not reported again.
          if (writes.length === 0 || (yield* tracker.writeIfUnchanged(writes, seen))) {
            return found.map(({ change }) => change)
          }
        }
      }, semaphore.withPermits(1))

      return Reconciler.of({ reconcile })
    })
  )
}

// internal

const compare = (issues: ReadonlyArray<Issue>, tickets: ReadonlyArray<Ticket>) => {
  const issueOf = new Map(issues.map((issue) => [issue.number, issue]))
  const ticketOf = new Map(tickets.map((ticket) => [ticket.number, ticket]))
  const found: Array<{ readonly change: TicketChange; readonly write: TicketWrite }> = []
  const refreshed: Array<TicketWrite> = []
  const numbers = [...new Set([...issueOf.keys(), ...ticketOf.keys()])].sort((a, b) => a - b)
  for (const number of numbers) {
    const ticket = ticketOf.get(number)
    const write = writeFor(issueOf.get(number), ticket)
    if (write === undefined) {
      continue
    }
    const [first, ...others] = kindsOf(write, ticket)
    if (first !== undefined) {
      const { repository, title, url } = write
      found.push({ change: { repository, number, url, title, kinds: [first, ...others] }, write })
    } else if (
      ticket?.url !== write.url || ticket.forgeUpdatedAt.epochMilliseconds !== write.forgeUpdatedAt.epochMilliseconds
    ) {
      // A comment or label: nothing to report, but the ticket remembers how fresh it is.
      refreshed.push(write)
    }
  }
  return { found, refreshed }
}

const writeFor = (issue: Issue | undefined, ticket: Ticket | undefined): TicketWrite | undefined => {
  if (issue !== undefined) {
    const { updatedAt: forgeUpdatedAt, ...fields } = issue
    return { ...fields, forgeUpdatedAt }
  }
  if (ticket === undefined) {
    return undefined
  }
  const { claim: _claim, createdAt: _createdAt, updatedAt: _updatedAt, ...fields } = ticket
  return { ...fields, state: "closed" }
}

const kindsOf = (write: TicketWrite, ticket: Ticket | undefined): ReadonlyArray<ChangeKind> => {
  if (ticket === undefined) {
    return ["opened"]
  }
  const kinds: Array<ChangeKind> = []
  if (write.state !== ticket.state) {
    kinds.push(write.state === "closed" ? "closed" : "reopened")
  }
  if (write.title !== ticket.title) {
    kinds.push("retitled")
  }
  if (write.assignee !== ticket.assignee) {
    kinds.push("reassigned")
  }
  return kinds
}
