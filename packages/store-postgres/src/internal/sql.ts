/** Pieces of SQL that several statements share. */
import * as Duration from "effect/Duration"
import { absent, separator } from "./escape.ts"

export interface Tables {
  readonly schema: string
  readonly run: string
  readonly row: string
  readonly migration: string
}

export const quote = (name: string): string => `"${name.replaceAll("\"", "\"\"")}"`

export const tables = (schema: string): Tables => ({
  schema: quote(schema),
  run: `${quote(schema)}.run`,
  row: `${quote(schema)}.run_row`,
  migration: `${quote(schema)}.migration`
})

type Column = readonly [name: string, type: "int" | "bigint" | "float8" | "uuid" | "bool" | "text"]
type Value = string | number | boolean | null

/** An array in a parameter, as `list` sends it. */
export const array = (parameter: number, type: Column[1]): string =>
  type === "text"
    ? `(string_to_array($${parameter}::text, e'\\x1e', e'\\x1f'))[2:]`
    : `$${parameter}::${type}[]`

/**
 * The values of an array as one text. `pg` would put each into quotes and escape those that are in it already, and the
 * server would undo that: JSON is full of them. Texts are `escape`d ones.
 */
export const list = (values: ReadonlyArray<Value>, type: Column[1]): string | null => {
  if (type !== "text") return `{${values.map((value) => value ?? "null").join(",")}}`
  // Shorter arrays are filled up with nulls.
  if (values.every((value) => value === null)) return null
  // One before each: nothing between none is an array of none, and nothing before one would be, too.
  return values.map((value) => `${separator}${value ?? absent}`).join("")
}

/** Requests as rows: constants for one, which keeps its plan an index look-up, and arrays for many. */
export const source = (columns: ReadonlyArray<Column>, many: boolean): string => {
  const names = columns.map(([name]) => name).join(", ")
  const values = columns.map(([, type], index) => many ? array(index + 1, type) : `$${index + 1}::${type}`).join(", ")
  return many ? `unnest(${values}) as i(${names})` : `(values (${values})) as i(${names})`
}

/** The parameters of `source`. */
export const bind = (
  columns: ReadonlyArray<Column>,
  requests: ReadonlyArray<ReadonlyArray<Value>>,
  many = requests.length > 1
): ReadonlyArray<Value> => {
  const [first = []] = requests
  return many
    ? columns.map(([, type], column) => list(requests.map((request) => request[column] ?? null), type))
    : first
}

/** One reading of the server's clock per statement; as a subquery it can bound an index scan. */
export const clock = "t as materialized (select clock_timestamp() as now)"

export const millis = (instant: string): string => `(extract(epoch from ${instant}) * 1000)::bigint`

export const later = (ms: string): string => `t.now + ${ms} * interval '1 millisecond'`

const century = 100 * 365 * 86_400_000

export const ttlMillis = (ttl: Duration.Duration): number =>
  Math.max(0, Math.min(century, Math.round(Duration.toMillis(ttl))))

/** A time of a filter or a cursor as PostgreSQL can hold it, whose times begin and end elsewhere than dates do. */
export const timeMillis = (millis: number): number => Math.max(-210_866_803_200_000, Math.min(8.64e15, millis))

export const isExhausted = (r: string): string => `(${r}.attempt >= ${r}.max_attempts or ${r}.stalled >= 2)`

export const statusOf = (r: string): string =>
  `case when ${r}.lease_until > (select now from t) then 'running' when ${
    isExhausted(r)
  } then 'exhausted' else 'interrupted' end`

/** Whether a lease may write: a released one is gone for good, and only a claim clears the mark. */
export const holds = (r: string, fence: string, owner: string): string =>
  `(${r}.fence = ${fence} and ${r}.owner = ${owner} and ${r}.released is null)`

/**
 * `due` is indexed, `lease_until` is not: it never lies after the end of the
 * lease, and a renewal moves it only when half of the lease has passed, so
 * that most updates of a head stay within its page (HOT).
 */
export const renewed = (r: string, ttl: string): string =>
  `lease_until = ${later(ttl)},
    due = case when ${r}.due > ${later(`${ttl} / 2`)} and ${r}.due <= ${later(ttl)} then ${r}.due else ${
    later(ttl)
  } end`

/** Bounds an index scan; the server knows this instant when it plans, so it also knows how few runs there are. */
export const mayHaveEnded = (r: string): string => `${r}.due <= statement_timestamp()`

/**
 * The mark of a release under which nothing was run: what the columns of the attempt hold is none, and all that were are
 * past. No reason is like that: `escape` writes this character with four digits behind it.
 */
export const unstarted = "e'\\x10'"

/** Hands a run to a new owner; the attempt so far joins the past ones. The clock may have been set back during it. */
export const taken = (r: string, owner: string, ttl: string): string =>
  `past = case when ${r}.released = ${unstarted} then ${r}.past else ${r}.past ||
      case when ${r}.past = '' then '' else ',' end || json_build_object(
      'number', ${r}.attempt, 'owner', ${r}.owner, 'fence', ${r}.fence, 'startedAt', ${millis(`${r}.attempt_at`)},
      'endedAt', ${millis(`greatest(${r}.lease_until, ${r}.attempt_at)`)},
      'end', case when ${r}.released is null then 'expired' else 'released' end,
      'reason', nullif(${r}.released, ''))::text end,
    owner = ${owner}, fence = ${r}.fence + 1, attempt = ${r}.attempt + 1, attempt_at = t.now,
    stalled = ${r}.stalled + 1, released = null, lease_until = ${later(ttl)}, due = ${later(ttl)}`

/** The head of a run as JSON; what its owner wrote as text is beside it. */
export const head = (r: string): string =>
  `json_build_object(
    'status', ${statusOf(r)}, 'startedAt', ${millis(`${r}.started_at`)}, 'updatedAt', ${millis(`${r}.updated_at`)},
    'leaseUntil', ${millis(`${r}.lease_until`)}, 'iteration', ${r}.iteration, 'phase', ${r}.phase,
    'completed', ${r}.completed, 'past', ${r}.past, 'number', ${r}.attempt, 'owner', ${r}.owner, 'fence', ${r}.fence,
    'attemptAt', ${millis(`${r}.attempt_at`)}, 'cancelRequested', ${r}.cancel_requested, 'segments', ${r}.segments,
    'unstarted', ${r}.released is not distinct from ${unstarted}, 'position', ${r}.next_row, 'wasExhausted', ${r}.attempt - 1 >= ${r}.max_attempts or ${r}.stalled - 1 >= 2,
    'key', ${r}.key, 'fingerprint', ${r}.fingerprint, 'columns', json_build_object('runId', ${r}.run_id,
    'kind', ${r}.kind, 'agentName', ${r}.agent_name, 'definition', ${r}.definition, 'hash', ${r}.definition_hash,
    'callerId', ${r}.caller_id, 'channelId', ${r}.channel_id, 'parentRunId', ${r}.parent_run_id))::text`

/** Anything else in the column would fail the whole statement, and every run of it. Without backslashes: no setting matters. */
const range = "[[][0-9]{1,10},[0-9]{1,10}[]]"
const isSegments = (text: string): string => `${text} ~ '^[[](${range}(,${range})*)?[]]$'`

/** Checkpoints of the runs in `u`: the head of each as row -1, and the rows of its history. */
export const checkpoints = ({ row }: Tables, tag = "'checkpoint'"): string =>
  `select u.n::text as n, ${tag} as tag, -1 as row_no, ${head("u")} as body, u.meta, u.notes, u.workspace from u
  union all
  select u.n::text, ${tag}, m.row_no, m.body, null, null, null
    from u cross join lateral json_array_elements(case when ${
    isSegments("u.segments")
  } then u.segments::json else '[]' end) as s(range)
    join ${row} m on m.run_id = u.run_id and m.row_no >= (s.range->>0)::bigint and m.row_no < (s.range->>1)::bigint`
