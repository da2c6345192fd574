import { Schema } from "effect"

/** A repository written as `owner/name`, the only form Dispatch accepts. */
export const RepositoryName = Schema.String.check(
  // "." and ".." are excluded because the name becomes a path segment of the forge's API.
  Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_-]*\/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/u, {
    description: "a repository written as owner/name"
  })
)

/** Whether work on an issue is still wanted. */
export const IssueState = Schema.Literals(["open", "closed"])

/** Whether work on an issue is still wanted. */
export type IssueState = typeof IssueState.Type

/** An issue as the forge shows it. */
export const Issue = Schema.Struct({
  repository: RepositoryName,
  number: Schema.Int,
  title: Schema.String,
  state: IssueState,
  /** Login of the first assignee. */
  assignee: Schema.NullOr(Schema.String),
  /** Address of the issue's page, made for people. */
  url: Schema.String,
  updatedAt: Schema.DateTimeUtcFromString
})

/** An issue as the forge shows it. */
export type Issue = typeof Issue.Type
