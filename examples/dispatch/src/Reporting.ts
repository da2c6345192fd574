import { Context, DateTime, Effect, Layer, Option, Schema } from "effect"
import { RepositoryName } from "./Issue.ts"
import { State } from "./State.ts"
import { isHeld, type Ticket } from "./Ticket.ts"
import { Tracker } from "./Tracker.ts"
import type { TrackerUnavailable } from "./TrackerError.ts"

/** Ticket counts; claimed and unassigned tickets are open ones. */
const TicketCounts = Schema.Struct({
  open: Schema.Int,
  closed: Schema.Int,
  claimed: Schema.Int,
  unassigned: Schema.Int
})

/** Ticket counts; claimed and unassigned tickets are open ones. */
export type TicketCounts = typeof TicketCounts.Type

/** The state of Dispatch's tickets at one time. */
export const Report = Schema.Struct({
  id: Schema.String,
  composedAt: Schema.DateTimeUtcFromString,
  repositories: Schema.Array(Schema.Struct({ repository: RepositoryName, ...TicketCounts.fields })),
  total: TicketCounts
})

/** The state of Dispatch's tickets at one time. */
export type Report = typeof Report.Type

/** Composes reports about tickets and keeps the last of them. */
export class Reporting extends Context.Service<Reporting, {
  /**
   * Counts the tickets of these repositories, in this order, and keeps the report under its id. Composing again under
   * the same id replaces the report, so a repeated pass leaves one report behind.
   */
  readonly compose: (id: string, repositories: ReadonlyArray<string>) => Effect.Effect<Report, TrackerUnavailable>
  /** The kept reports, the latest first. */
  readonly reports: Effect.Effect<ReadonlyArray<Report>, TrackerUnavailable>
  /** The latest report. */
  readonly latest: Effect.Effect<Option.Option<Report>, TrackerUnavailable>
}>()("@everbeat/example-dispatch/Reporting") {
  /** Keeps as many reports as given in Dispatch's state. */
  static readonly layerStateWith = (
    options: { readonly keep: number }
  ): Layer.Layer<Reporting, never, Tracker | State> =>
    Layer.effect(
      Reporting,
      Effect.gen(function*() {
        const tracker = yield* Tracker
        const state = yield* State
        const kept = state.cell<ReadonlyArray<Report>>("reports", Schema.Array(Report), [])

        const compose = Effect.fn("Reporting.compose")(function*(id: string, names: ReadonlyArray<string>) {
          const composedAt = yield* DateTime.now
          const repositories = yield* Effect.forEach(
            [...new Set(names)],
            (repository) =>
              Effect.map(tracker.list(repository), (tickets) => ({ repository, ...count(tickets, composedAt) }))
          )
          const report: Report = { id, composedAt, repositories, total: sum(repositories) }
          return yield* kept.modify(
            `keep the report ${id}`,
            (kept) => [report, [report, ...kept.filter((other) => other.id !== id)].slice(0, options.keep)]
          )
        })

        const reports = kept.get("look up the reports")
        return Reporting.of({
          compose,
          reports,
          latest: Effect.map(reports, ([latest]) => Option.fromUndefinedOr(latest))
        })
      })
    )

  /** Keeps the last twenty reports in Dispatch's state. */
  static readonly layerState: Layer.Layer<Reporting, never, Tracker | State> = Reporting.layerStateWith({ keep: 20 })

  /** Keeps as many reports as given in memory. */
  static readonly layerWith = (options: { readonly keep: number }): Layer.Layer<Reporting, never, Tracker> =>
    Reporting.layerStateWith(options).pipe(Layer.provide(State.layerMemory))
}

// internal

const count = (tickets: ReadonlyArray<Ticket>, at: DateTime.Utc): TicketCounts => {
  const open = tickets.filter((ticket) => ticket.state === "open")
  return {
    open: open.length,
    closed: tickets.length - open.length,
    claimed: open.filter((ticket) => isHeld(ticket, at)).length,
    unassigned: open.filter((ticket) => ticket.assignee === null).length
  }
}

const sum = (counts: ReadonlyArray<TicketCounts>): TicketCounts => ({
  open: counts.reduce((total, { open }) => total + open, 0),
  closed: counts.reduce((total, { closed }) => total + closed, 0),
  claimed: counts.reduce((total, { claimed }) => total + claimed, 0),
  unassigned: counts.reduce((total, { unassigned }) => total + unassigned, 0)
})
