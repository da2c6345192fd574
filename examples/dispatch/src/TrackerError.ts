import { DateTime, Schema } from "effect"

/** The tracker answers no requests. */
export class TrackerUnavailable extends Schema.TaggedError<TrackerUnavailable>()("TrackerUnavailable", {
  operation: Schema.String,
  /**
   * Whether nothing was changed, or nobody knows because its database was lost before it answered, or nothing can be
   * because what the database keeps is not what Dispatch wrote.
   */
  outcome: Schema.Literals(["nothing", "unknown", "unreadable"])
}) {
  override get message(): string {
    return this.outcome === "unreadable"
      ? `Dispatch's tracker cannot read what it kept and refused to ${this.operation}`
      : `Dispatch's tracker is down and refused to ${this.operation}`
  }

  /** What to do about it. */
  get hint(): string {
    switch (this.outcome) {
      case "nothing":
        return "Bring the tracker up again, then repeat the operation. Nothing was changed, so repeating it is safe."
      case "unknown":
        return "Bring the tracker up again, then repeat the operation. It may have happened, and repeating it is safe."
      case "unreadable":
        return "Restore Dispatch's state in its database, or run the version of Dispatch that wrote it; " +
          "the log names the document. Nothing was changed."
    }
  }
}

/** No ticket has this address. */
export class TicketNotFound extends Schema.TaggedError<TicketNotFound>()("TicketNotFound", {
  url: Schema.String
}) {
  override get message(): string {
    return `Dispatch has no ticket for ${this.url}`
  }

  /** What to do about it. */
  get hint(): string {
    return "Use the address of a ticket as Dispatch lists it; an issue gets its ticket when its repository is reconciled."
  }
}

/** The ticket is closed, so there is nothing left to claim. */
export class TicketClosed extends Schema.TaggedError<TicketClosed>()("TicketClosed", {
  url: Schema.String
}) {
  override get message(): string {
    return `The ticket ${this.url} is closed and cannot be claimed`
  }

  /** What to do about it. */
  get hint(): string {
    return "Claim an open ticket, or reopen the issue on the forge and reconcile its repository."
  }
}

/** Another agent works on the ticket. */
export class TicketClaimed extends Schema.TaggedError<TicketClaimed>()("TicketClaimed", {
  url: Schema.String,
  agent: Schema.String,
  expiresAt: Schema.DateTimeUtcFromString
}) {
  override get message(): string {
    return `The ticket ${this.url} is claimed by ${this.agent} until ${DateTime.formatIso(this.expiresAt)}`
  }

  /** What to do about it. */
  get hint(): string {
    return `Claim another ticket, or this one after ${
      DateTime.formatIso(this.expiresAt)
    } unless ${this.agent} renews its claim.`
  }
}
