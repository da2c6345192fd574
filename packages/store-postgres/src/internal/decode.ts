/** What the server answers, as the models of core. What cannot be read is thrown and becomes `corrupt`. */
import {
  type AgentRun,
  AgentRunJson,
  type Attempt,
  type Idempotency,
  type RunInFlight,
  RunMeta
} from "@everbeat/core/AgentRun"
import type { Resumed } from "@everbeat/core/CheckpointStore"
import type { RunCheckpoint, Segment } from "@everbeat/core/RunCheckpoint"
import type { RunId } from "@everbeat/core/RunId"
import type { StoreError } from "@everbeat/core/StoreError"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Row } from "./client.ts"
import { corrupt } from "./errors.ts"
import { unescape } from "./escape.ts"

/** The head of a run as `Sql.head` builds it. */
interface Head {
  readonly status: RunInFlight["status"]
  readonly startedAt: number
  readonly updatedAt: number
  readonly leaseUntil: number
  readonly iteration: number
  readonly phase: string
  readonly completed: string
  readonly past: string
  readonly number: number
  readonly owner: string
  readonly fence: number
  readonly attemptAt: number
  readonly cancelRequested: boolean
  readonly segments: string
  /** The newest claim was given back: all attempts are past. */
  readonly unstarted: boolean
  readonly position: number
  readonly wasExhausted: boolean
  readonly key: string | null
  readonly fingerprint: string | null
  readonly columns: Columns
}

/** What the columns tell of a run, apart from its `meta`. */
interface Columns {
  readonly runId: RunId
  readonly kind: string
  readonly agentName: string
  readonly definition: string
  readonly hash: string
  readonly callerId: string | null
  readonly channelId: string | null
  readonly parentRunId: string | null
}

interface PastAttempt {
  readonly number: number
  readonly owner: string
  readonly fence: number
  readonly startedAt: number
  readonly endedAt: number
  readonly end: "released" | "expired"
  readonly reason: string | null
}

const decodeMeta = Schema.decodeUnknownSync(RunMeta)
const decodeTexts = Schema.decodeUnknownSync(Schema.Array(Schema.String))
const decodeSegments = Schema.decodeUnknownSync(Schema.Array(Schema.Tuple([Schema.Int, Schema.Int])))
const decodeRun = Schema.decodeUnknownSync(AgentRunJson)
const encodeRun = Schema.encodeSync(AgentRunJson)

export const metaText = (meta: RunMeta): string => JSON.stringify(meta)

export const recordText = (run: AgentRun): string => JSON.stringify(encodeRun(run))

export const text = (value: string | null | undefined): string => {
  if (value === null || value === undefined) throw new Error("a column is missing")
  return value
}

const optional = (value: string | null | undefined): string | undefined =>
  value === null || value === undefined ? undefined : unescape(value)

/** Runs a decoder and turns what it throws into a typed failure. */
export const decoding = <A>(operation: string, decode: () => A): Effect.Effect<A, StoreError> =>
  Effect.try({ try: decode, catch: (cause) => corrupt(operation, cause) })

/** Reads each row of a list. One that cannot be read is left out and told, so that it hides none of the others. */
export const readable = <A>(rows: ReadonlyArray<Row>, decode: (row: Row) => A): Effect.Effect<ReadonlyArray<A>> =>
  Effect.map(
    Effect.forEach(
      rows,
      (row) =>
        Effect.matchEffect(decoding("list", () => named(text(row["run_id"]), () => decode(row))), {
          onFailure: (error) => Effect.as(Effect.logWarning("A damaged run was left out of a list", error.message), []),
          onSuccess: (one) => Effect.succeed([one])
        })
    ),
    (found) => found.flat()
  )

// The casts below name what this package's own statements build.
const parse = <A>(json: string): A => JSON.parse(json) as A

const pastAttempts = ({ past }: Head): ReadonlyArray<Attempt> =>
  parse<ReadonlyArray<PastAttempt>>(`[${past}]`).map(({ endedAt, owner, reason, startedAt, ...attempt }) => ({
    ...attempt,
    owner: unescape(owner),
    startedAt: DateTime.makeUnsafe(startedAt),
    endedAt: DateTime.makeUnsafe(endedAt),
    ...(reason === null ? undefined : { reason: unescape(reason) })
  }))

const newestAttempts = (head: Head): ReadonlyArray<Attempt> =>
  head.unstarted ? [] : [{
    number: head.number,
    owner: unescape(head.owner),
    fence: head.fence,
    startedAt: DateTime.makeUnsafe(head.attemptAt)
  }]

const metaOfColumns = ({ columns }: Head): RunMeta => {
  const { agentName, callerId, channelId, definition, hash, kind, parentRunId, runId } = columns
  return decodeMeta({
    runId,
    kind,
    agentName,
    definition: { name: unescape(definition), hash: unescape(hash) },
    ...(callerId === null ? undefined : { callerId: unescape(callerId) }),
    ...(channelId === null ? undefined : { channelId: unescape(channelId) }),
    ...(parentRunId === null ? undefined : { parentRunId })
  })
}

/** What to take for a part that cannot be read, or that it may not be missing. */
type Mend = <A>(part: () => A, otherwise: () => A) => A

const whole: Mend = (part) => part()

/** For people who look for the run: what can be read of it is enough to find it, and to end it. */
const mended: Mend = (part, otherwise) => {
  try {
    return part()
  } catch {
    return otherwise()
  }
}

const flight = (head: Head, meta: string, mend: Mend): RunInFlight => ({
  ...mend(() => decodeMeta(JSON.parse(meta)), () => metaOfColumns(head)),
  status: head.status,
  startedAt: DateTime.makeUnsafe(head.startedAt),
  updatedAt: DateTime.makeUnsafe(head.updatedAt),
  iteration: head.iteration,
  phase: unescape(head.phase),
  completedPhases: mend(() => decodeTexts(JSON.parse(head.completed)), () => []),
  attempts: [...mend(() => pastAttempts(head), () => []), ...newestAttempts(head)],
  leaseUntil: DateTime.makeUnsafe(head.leaseUntil),
  cancelRequested: head.cancelRequested
})

export const inFlight = (row: Row): RunInFlight => flight(parse<Head>(text(row["body"])), text(row["meta"]), mended)

export const record = (json: string, idempotency: Idempotency | undefined): AgentRun => {
  const run = decodeRun(JSON.parse(json))
  return run.idempotency === undefined && idempotency !== undefined ? { ...run, idempotency } : run
}

export const idempotencyOf = (key: string | null, fingerprint: string | null): Idempotency | undefined =>
  key === null || fingerprint === null ? undefined : { key: unescape(key), fingerprint: unescape(fingerprint) }

/** A checkpoint whose rows were read a moment before its head: the rows of a save in between are missing. */
export const torn = Symbol("torn")

export interface Loaded {
  readonly checkpoint: RunCheckpoint
  readonly owner: string
  readonly fence: number
  readonly wasExhausted: boolean
  readonly idempotency: Idempotency | undefined
}

const headRow = (rows: ReadonlyArray<Row>): Row | undefined => rows.find((row) => row["row_no"] === "-1")

/** Which run the rows are of, whatever else of it can be read. */
export const runIdOf = (rows: ReadonlyArray<Row>): RunId => parse<Head>(text(headRow(rows)?.["body"])).columns.runId

/** The rows of one run, as `Sql.checkpoints` selects them. */
export const loaded = (rows: ReadonlyArray<Row>): Loaded | typeof torn | undefined => {
  const first = headRow(rows)
  if (first === undefined) return undefined
  const head = parse<Head>(text(first["body"]))
  return named(head.columns.runId, () => checkpointOf(head, first, rows))
}

/** What is thrown names the run. */
export const named = <A>(runId: string, decode: () => A): A => {
  try {
    return decode()
  } catch (cause) {
    throw new Error(`run ${runId} is damaged: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

const checkpointOf = (head: Head, first: Row, rows: ReadonlyArray<Row>): Loaded | typeof torn => {
  const bodies = new Map<number, string>()
  for (const row of rows) bodies.set(Number(row["row_no"]), text(row["body"]))
  const segments: ReadonlyArray<Segment> = decodeSegments(JSON.parse(head.segments))
  const messages: Array<string> = []
  for (const [from, to] of segments) {
    // A segment may name rows that do not exist; only rows below the position must be there.
    for (let position = from; position < Math.min(to, head.position); position++) {
      const body = bodies.get(position)
      if (body === undefined) return torn
      messages.push(unescape(body))
    }
  }
  return {
    checkpoint: {
      ...flight(head, text(first["meta"]), whole),
      messages,
      segments,
      position: head.position,
      notes: optional(first["notes"]),
      workspace: optional(first["workspace"])
    },
    owner: unescape(head.owner),
    fence: head.fence,
    wasExhausted: head.wasExhausted,
    idempotency: idempotencyOf(head.key, head.fingerprint)
  }
}

export const resumed = ({ checkpoint, fence, idempotency, owner, wasExhausted }: Loaded): Resumed => ({
  _tag: "Resumed",
  lease: { runId: checkpoint.runId, owner, fence },
  checkpoint,
  exhausted: wasExhausted,
  idempotency
})

export const completedText = (phases: ReadonlyArray<string> | undefined): string | null =>
  phases === undefined ? null : JSON.stringify(phases)

/** Rows by the number of the request or of the run that they answer. */
export const grouped = (rows: ReadonlyArray<Row>): Map<string, Array<Row>> => {
  const groups = new Map<string, Array<Row>>()
  for (const row of rows) {
    const n = text(row["n"])
    const group = groups.get(n)
    if (group === undefined) groups.set(n, [row])
    else group.push(row)
  }
  return groups
}
