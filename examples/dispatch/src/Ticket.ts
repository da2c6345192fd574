import { DateTime, Schema } from "effect"
import { Issue, IssueState, RepositoryName } from "./Issue.ts"

/** An agent's exclusive right to work on a ticket, until it expires. */
const Claim = Schema.Struct({
  agent: Schema.NonEmptyString,
  claimedAt: Schema.DateTimeUtcFromString,
  expiresAt: Schema.DateTimeUtcFromString
})

/** An agent's exclusive right to work on a ticket, until it expires. */
export type Claim = typeof Claim.Type

/** Dispatch's own record of an issue: what the forge last said, and which agent works on it. */
export const Ticket = Schema.Struct({
  repository: RepositoryName,
  number: Schema.Int,
  title: Schema.String,
  state: IssueState,
  assignee: Schema.NullOr(Schema.String),
  url: Schema.String,
  forgeUpdatedAt: Schema.DateTimeUtcFromString,
  claim: Schema.NullOr(Claim),
  createdAt: Schema.DateTimeUtcFromString,
  updatedAt: Schema.DateTimeUtcFromString
})

/** Dispatch's own record of an issue: what the forge last said, and which agent works on it. */
export type Ticket = typeof Ticket.Type

/** What the forge says about a ticket; claims are Dispatch's own and never part of it. */
export const TicketWrite = Schema.Struct({
  repository: Issue.fields.repository,
  number: Issue.fields.number,
  title: Issue.fields.title,
  state: Issue.fields.state,
  assignee: Issue.fields.assignee,
  url: Issue.fields.url,
  forgeUpdatedAt: Issue.fields.updatedAt
})

/** What the forge says about a ticket; claims are Dispatch's own and never part of it. */
export type TicketWrite = typeof TicketWrite.Type

/** A claim that was taken back. */
export const ReleasedClaim = Schema.Struct({
  repository: RepositoryName,
  number: Schema.Int,
  url: Schema.String,
  agent: Schema.String,
  reason: Schema.Literals(["expired", "closed", "returned"])
})

/** A claim that was taken back. */
export type ReleasedClaim = typeof ReleasedClaim.Type

/** Whether the ticket is an agent's at the given time. */
export const isHeld = (ticket: Ticket, at: DateTime.Utc): boolean =>
  ticket.claim !== null && DateTime.isGreaterThan(ticket.claim.expiresAt, at)

/** Why the ticket's claim no longer serves anyone at the given time, or `undefined` if it does. */
export const staleness = (ticket: Ticket, at: DateTime.Utc): "closed" | "expired" | undefined => {
  if (ticket.claim === null) {
    return undefined
  }
  return ticket.state === "closed" ? "closed" : isHeld(ticket, at) ? undefined : "expired"
}
