import { Schema } from "effect"
import { createRequire } from "node:module"

const Rest = Schema.Record(Schema.String, Schema.Unknown)

const Login = Schema.StructWithRest(Schema.Struct({ login: Schema.String }), [Rest])

/** A person or team member on the forge, with everything GitHub recorded about the account. */
export type UserPayload = typeof Login.Type

const IssuePayload = Schema.StructWithRest(
  Schema.Struct({
    number: Schema.Int,
    title: Schema.String,
    state: Schema.Literals(["open", "closed"]),
    assignee: Schema.NullOr(Login),
    assignees: Schema.Array(Login),
    created_at: Schema.String,
    updated_at: Schema.String
  }),
  [Rest]
)

/** An issue as GitHub's REST API sends it, complete with the fields Dispatch does not read. */
export type IssuePayload = typeof IssuePayload.Type

const IssueEvent = Schema.Struct({
  action: Schema.String,
  // Some recorded events leave fields of the issue out.
  issue: Schema.StructWithRest(
    Schema.Struct({
      number: Schema.Int,
      state: Schema.optionalKey(Schema.Literals(["open", "closed"])),
      assignee: Schema.optionalKey(Schema.NullOr(Login)),
      assignees: Schema.optionalKey(Schema.Array(Login)),
      updated_at: Schema.String
    }),
    [Rest]
  ),
  assignee: Schema.optionalKey(Schema.NullOr(Login)),
  repository: Schema.Struct({ full_name: Schema.String })
})

/** An `issues` webhook event as GitHub sent it. */
export type IssueEvent = typeof IssueEvent.Type

const require = createRequire(import.meta.url)

const Exchange = Schema.Struct({ response: Schema.Unknown })

const exchanges = (scenario: string): ReadonlyArray<unknown> =>
  Schema.decodeUnknownSync(Schema.Array(Exchange))(
    require(`@octokit/fixtures/scenarios/api.github.com/${scenario}/normalized-fixture.json`)
  ).map((exchange) => exchange.response)

const webhookEvents = (): ReadonlyArray<IssueEvent> => {
  const recorded = Schema.decodeUnknownSync(
    Schema.Array(Schema.Struct({ name: Schema.String, examples: Schema.Array(Schema.Unknown) }))
  )(require("@octokit/webhooks-examples/api.github.com/index.json"))
  const examples = recorded.filter((event) => event.name === "issues").flatMap((event) => event.examples)
  return Schema.decodeUnknownSync(Schema.Array(IssueEvent))(examples)
}

const servedByEvents = "Codertocat/Hello-World"

/**
 * The recorded `issues` events of `Codertocat/Hello-World` in the order in which they happened, one for each action on
 * each issue; the recordings repeat some actions with payloads that differ only in fields GitHub added over the years.
 */
export const recordedEvents = (): ReadonlyArray<IssueEvent> => {
  const byAction = new Map<string, IssueEvent>()
  for (const event of webhookEvents().filter((event) => event.repository.full_name === servedByEvents)) {
    const key = `${event.action}#${event.issue.number}`
    if (!byAction.has(key)) {
      byAction.set(key, event)
    }
  }
  // Timestamps have whole seconds: an issue is opened before anything else happens to it in the same second.
  const rank = (event: IssueEvent) => `${event.issue.updated_at} ${event.action === "opened" ? 0 : 1}`
  return [...byAction.values()].sort((a, b) => rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0)
}

/** The recorded issues by repository, as they are before the first event is replayed. */
export const recordedIssues = (): ReadonlyMap<string, ReadonlyArray<IssuePayload>> => {
  const decode = Schema.decodeUnknownSync(Schema.Array(IssuePayload))
  const found = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ items: Schema.Array(Schema.Unknown) })))
  const pullRequest = webhookEvents().find((event) => event.action === "milestoned")
  return new Map([
    ["octokit-fixture-org/paginate-issues", decode(exchanges("paginate-issues").flat())],
    ["octokit-fixture-org/search-issues", decode(found(exchanges("search-issues")).flatMap((page) => page.items))],
    ["octokit-fixture-org/add-labels-to-issue", decode(exchanges("add-labels-to-issue").slice(0, 1))],
    // Only a pull request: the repository's single issue is opened by the first replayed event.
    [servedByEvents, decode(pullRequest === undefined ? [] : [pullRequest.issue])]
  ])
}
