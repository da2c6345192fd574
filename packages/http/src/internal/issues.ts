import * as SchemaIssue from "effect/SchemaIssue"

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** Issues beyond these are counted: a long list of them may have as many. */
const maxIssues = 10

/** What the schema library says of a part of the request, on one line. */
export const describeIssues = (part: string, issue: SchemaIssue.Issue): string => {
  const all = format(issue).issues
  const said = all.slice(0, maxIssues).map(({ message, path = [] }) => {
    const at = [part, ...path.map((segment) => String(typeof segment === "object" ? segment.key : segment))].join(".")
    return `${clip(at)}: ${clip(message)}`
  })
  return [...said, ...(all.length > maxIssues ? [`and ${all.length - maxIssues} more`] : [])].join("; ")
}

/** Messages quote the value that does not fit. */
const clip = (text: string): string =>
  text.length <= 300 ? text : `${Array.from(text.slice(0, 300)).slice(0, -1).join("")}...`
