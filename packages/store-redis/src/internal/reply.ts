/** Reads the answers of scripts. What is not as expected throws: the caller makes a typed failure of it. */
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
import type { StoreError } from "@everbeat/core/StoreError"
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Errors from "./errors.ts"
import type { Reply } from "./partitions.ts"
import * as Text from "./text.ts"

const isList = (reply: Reply | undefined): reply is ReadonlyArray<Reply> => Array.isArray(reply)

export const list = (reply: Reply | undefined): ReadonlyArray<Reply> => {
  if (isList(reply)) return reply
  throw new TypeError("a list was expected")
}

export const text = (reply: Reply | undefined): string => {
  if (typeof reply === "string") return reply
  throw new TypeError("a text was expected")
}

/** A client may be told to hand numbers out as texts. */
export const number = (reply: Reply | undefined): number => {
  const value = typeof reply === "string" && reply !== "" ? Number(reply) : reply
  if (typeof value === "number" && !Number.isNaN(value)) return value
  throw new TypeError("a number was expected")
}

const optional = (reply: Reply | undefined): string | undefined =>
  reply === null || reply === undefined ? undefined : Text.decode(text(reply))

const instant = (reply: Reply | undefined): DateTime.Utc => DateTime.makeUnsafe(number(reply))

const decodeMeta = Schema.decodeUnknownSync(RunMeta)
const decodeRun = Schema.decodeUnknownSync(AgentRunJson)
const decodeTexts = Schema.decodeUnknownSync(Schema.Array(Schema.String))
const decodeEnd = Schema.decodeUnknownSync(Schema.Literals(["settled", "released", "expired"]))

const toAttempt = (reply: Reply, index: number): Attempt => {
  const [owner, fence, start, end, kind, reason] = list(reply)
  return {
    number: index + 1,
    owner: Text.decode(text(owner)),
    fence: number(fence),
    startedAt: instant(start),
    ...(end === null ? undefined : { endedAt: instant(end) }),
    ...(kind === null ? undefined : { end: decodeEnd(kind) }),
    ...(reason === null ? undefined : { reason: Text.decode(text(reason)) })
  }
}

const toIdempotency = (key: Reply | undefined, print: Reply | undefined): Idempotency | undefined => {
  const known = optional(key)
  return known === undefined ? undefined : { key: known, fingerprint: Text.decode(text(print)) }
}

interface Head {
  readonly run: RunInFlight
  readonly fence: number
  readonly idempotency: Idempotency | undefined
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

/** What the fields tell of a run, apart from its `meta`. */
const toMeta = (runId: string, fields: ReadonlyArray<Reply>): RunMeta => {
  const [agentName, kind, name, hash, caller, channel, parent] = fields
  const [callerId, channelId, parentRunId] = [optional(caller), optional(channel), optional(parent)]
  return decodeMeta({
    runId,
    kind,
    agentName,
    definition: { name: Text.decode(text(name)), hash: Text.decode(text(hash)) },
    ...(callerId === undefined ? undefined : { callerId }),
    ...(channelId === undefined ? undefined : { channelId }),
    ...(parentRunId === undefined ? undefined : { parentRunId })
  })
}

const toHead = (runId: string, reply: Reply | undefined, now: number, mend: Mend): Head => {
  const [fields, attempts] = list(reply)
  const all = list(fields)
  const [meta, n, max, stalled, lease, cancel, start, updated, iteration, phase, phases, key, print, fence] = all
  const zero = (): number => 0
  const leaseUntil = mend(() => number(lease), zero)
  const spent = mend(() => number(n) >= number(max) || number(stalled) >= 2, () => true)
  return {
    run: {
      ...mend(() => decodeMeta(JSON.parse(text(meta))), () => toMeta(runId, all.slice(14))),
      status: leaseUntil > now ? "running" : spent ? "exhausted" : "interrupted",
      startedAt: DateTime.makeUnsafe(mend(() => number(start), zero)),
      updatedAt: DateTime.makeUnsafe(mend(() => number(updated), zero)),
      iteration: mend(() => number(iteration), zero),
      phase: mend(() => Text.decode(text(phase)), () => ""),
      completedPhases: mend(() => decodeTexts(JSON.parse(text(phases))), () => []),
      attempts: list(attempts).flatMap((attempt, index) => mend(() => [toAttempt(attempt, index)], () => [])),
      leaseUntil: DateTime.makeUnsafe(leaseUntil),
      cancelRequested: cancel !== null
    },
    fence: number(fence),
    idempotency: mend(() => toIdempotency(key, print), () => undefined)
  }
}

const toSegments = (segments: string): ReadonlyArray<Segment> =>
  segments === "" ? [] : segments.split(";").map((segment): Segment => {
    const [from, to] = segment.split(",")
    return [number(from), number(to)]
  })

const toCheckpointWithHead = (
  runId: string,
  reply: Reply | undefined
): { readonly head: Head; readonly checkpoint: RunCheckpoint } => {
  if (typeof reply === "string") throw new Error(reply) // the script says what is wrong
  const [now, head, position, segments, notes, workspace, rows] = list(reply)
  const parsed = toHead(runId, head, number(now), whole)
  return {
    head: parsed,
    checkpoint: {
      ...parsed.run,
      messages: list(rows).flatMap((range) => list(range).map((row) => Text.decode(text(row)))),
      segments: toSegments(text(segments)),
      position: number(position),
      notes: optional(notes),
      workspace: optional(workspace)
    }
  }
}

/** Whether the checkpoint of one run can be read. */
const named = <A>(operation: string, runId: string, decode: () => A): Result.Result<A, StoreError> =>
  Result.try({ try: decode, catch: (cause) => Errors.damaged(operation, runId, cause) })

export const toCheckpoint = (
  operation: string,
  runId: string,
  reply: Reply
): Result.Result<RunCheckpoint, StoreError> =>
  named(operation, runId, () => toCheckpointWithHead(runId, reply).checkpoint)

/** Which run the answer `{ 'resumed', exhausted, checkpoint, id }` is about. */
export const idOfResumed = (reply: Reply): string => text(list(reply)[3])

export const toResumed = (operation: string, reply: Reply, owner: string): Result.Result<Resumed, StoreError> => {
  const [, spent, stored] = list(reply)
  const runId = idOfResumed(reply)
  return named(operation, runId, () => {
    const { checkpoint, head } = toCheckpointWithHead(runId, stored)
    return {
      _tag: "Resumed",
      lease: { runId: checkpoint.runId, owner, fence: head.fence },
      checkpoint,
      exhausted: number(spent) === 1,
      idempotency: head.idempotency
    }
  })
}

/** A record; the key of its run is added when its owner did not name it. */
export const toRun = (record: Reply | undefined, key: Reply | undefined, print: Reply | undefined): AgentRun => {
  const run = decodeRun(JSON.parse(text(record)))
  const idempotency = toIdempotency(key, print)
  return idempotency === undefined || run.idempotency !== undefined ? run : { ...run, idempotency }
}

/** The answer `{ now, runs }` for these ids: what is gone is left out. */
export const toRuns = (
  operation: string,
  reply: Reply,
  ids: ReadonlyArray<string>
): ReadonlyArray<readonly [id: string, run: Result.Result<AgentRun | RunInFlight, StoreError>]> => {
  const [now, runs] = list(reply)
  return list(runs).flatMap((entry, index) => {
    if (entry === null) return []
    const runId = ids[index] ?? ""
    const run = named(operation, runId, () => {
      if (typeof entry === "string") throw new Error(entry) // the script says what is wrong
      const [kind, value, key, print] = list(entry)
      return kind === "head" ? toHead(runId, value, number(now), mended).run : toRun(value, key, print)
    })
    return [[runId, run] as const]
  })
}
