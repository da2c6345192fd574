/** What a host has already: a tracker of issues, with promises and errors of its own. */

export interface Issue {
  readonly number: number
  readonly url: string
  readonly title: string
  readonly owner: string | null
}

export class TrackerDown extends Error {
  readonly hint = "The tracker is restarted every night at two."
}

export class Tracker {
  /** Issues that were dispatched, and to whom. */
  readonly claims = new Map<number, string>()
  isDown = false
  private readonly issues: ReadonlyArray<Issue>

  constructor(issues: ReadonlyArray<Issue>) {
    this.issues = issues
  }

  async open(signal: AbortSignal): Promise<ReadonlyArray<Issue>> {
    signal.throwIfAborted()
    if (this.isDown) throw new TrackerDown("The tracker does not answer.")
    return this.issues
  }

  /** Says whether that is new: a step may run again after a crash. */
  async claim(issue: number, agent: string): Promise<boolean> {
    if (this.claims.has(issue)) return false
    this.claims.set(issue, agent)
    return true
  }
}

export const someIssues: ReadonlyArray<Issue> = [
  { number: 7, url: "https://issues.example/7", title: "The clock is mocked too late", owner: null },
  { number: 8, url: "https://issues.example/8", title: "Retry forgets its cause", owner: "ada" },
  { number: 9, url: "https://issues.example/9", title: "Say where the token goes", owner: "grace" }
]
