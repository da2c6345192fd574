import { DateTime } from "effect"
import type { IssueEvent, IssuePayload, UserPayload } from "./ForgePayloads.ts"

/** What a person can change about an issue on the local forge. */
export interface IssueEdit {
  readonly title?: string | undefined
  readonly state?: "open" | "closed" | undefined
  /** Login, or `null` for nobody. */
  readonly assignee?: string | null | undefined
}

/** Applies a webhook event to the issues of its repository. */
export const applyEvent = (
  issues: ReadonlyArray<IssuePayload>,
  event: IssueEvent,
  now: DateTime.Utc
): { readonly changed: boolean; readonly issues: ReadonlyArray<IssuePayload> } => {
  const others = issues.filter((issue) => issue.number !== event.issue.number)
  const before = issues.find((issue) => issue.number === event.issue.number)
  if (event.action === "deleted" || event.action === "transferred") {
    return { changed: before !== undefined, issues: others }
  }
  const assignees = assigneesAfter(event, before)
  const after: IssuePayload = {
    ...blank(event),
    ...before,
    ...event.issue,
    state: event.action === "closed" ? "closed" : event.action === "reopened"
      ? "open"
      : event.issue.state ?? before?.state ?? "open",
    assignees,
    assignee: assignees[0] ?? null,
    updated_at: bumped(before?.updated_at, now)
  }
  const changed = before === undefined || before.title !== after.title || before.state !== after.state ||
    before.assignee?.login !== after.assignee?.login
  return { changed, issues: [...others, after] }
}

/** Applies a person's edit to one issue. */
export const editIssue = (
  issues: ReadonlyArray<IssuePayload>,
  number: number,
  edit: IssueEdit,
  now: DateTime.Utc
): { readonly known: boolean; readonly issues: ReadonlyArray<IssuePayload> } => ({
  known: issues.some((issue) => issue.number === number),
  issues: issues.map((issue) => {
    if (issue.number !== number) {
      return issue
    }
    const assignees = edit.assignee === undefined
      ? issue.assignees
      : edit.assignee === null
      ? []
      : [{ login: edit.assignee, type: "User" }]
    return {
      ...issue,
      title: edit.title ?? issue.title,
      state: edit.state ?? issue.state,
      assignees,
      assignee: assignees[0] ?? null,
      updated_at: bumped(issue.updated_at, now)
    }
  })
})

// internal

// Most recorded events show the assignees of some other moment, so only the actions that are about assignees change
// them, and the person is taken from the event itself because the issue may be shown as it was before.
const assigneesAfter = (event: IssueEvent, before: IssuePayload | undefined): ReadonlyArray<UserPayload> => {
  const known = before?.assignees ?? event.issue.assignees ?? []
  const person = event.assignee
  if (person === undefined || person === null) {
    return event.action === "opened" ? event.issue.assignees ?? [] : known
  }
  const others = known.filter((user) => user.login !== person.login)
  return event.action === "unassigned" ? others : [...others, person]
}

const blank = (event: IssueEvent) => ({
  title: "",
  created_at: event.issue.updated_at
})

const seconds = (time: DateTime.Utc): string => DateTime.formatIso(time).replace(/\.\d+Z$/u, "Z")

// Like GitHub's, the time has whole seconds; it always grows, even if the clock is behind the recording.
const bumped = (previous: string | undefined, now: DateTime.Utc): string =>
  seconds(
    previous === undefined ? now : DateTime.max(now, DateTime.add(DateTime.makeUnsafe(previous), { seconds: 1 }))
  )
