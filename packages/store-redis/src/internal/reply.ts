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
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"
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

const toHead = (reply: Reply | undefined, now: number): Head => {
  const [fields, attempts] = list(reply)
  const [meta, n, max, stalled, lease, cancel, start, updated, iteration, phase, phases, key, print, fence] = list(
    fields
  )
  const leaseUntil = number(lease)
  const spent = number(n) >= number(max) || number(stalled) >= 2
  return {
    run: {
      ...decodeMeta(JSON.parse(text(meta))),
      status: leaseUntil > now ? "running" : spent ? "exhausted" : "interrupted",
      startedAt: instant(start),
      updatedAt: instant(updated),
      iteration: number(iteration),
      phase: Text.decode(text(phase)),
      completedPhases: decodeTexts(JSON.parse(text(phases))),
      attempts: list(attempts).map(toAttempt),
      leaseUntil: DateTime.makeUnsafe(leaseUntil),
      cancelRequested: cancel !== null
    },
    fence: number(fence),
    idempotency: toIdempotency(key, print)
  }
}

const toSegments = (segments: string): ReadonlyArray<Segment> =>
  segments === "" ? [] : segments.split(";").map((segment): Segment => {
    const [from, to] = segment.split(",")
    return [number(from), number(to)]
  })

const toCheckpointWithHead = (
  reply: Reply | undefined
): { readonly head: Head; readonly checkpoint: RunCheckpoint } => {
  const [now, head, position, segments, notes, workspace, rows] = list(reply)
  const parsed = toHead(head, number(now))
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

export const toCheckpoint = (reply: Reply): RunCheckpoint => toCheckpointWithHead(reply).checkpoint

/** The answer `{ 'resumed', exhausted, checkpoint }`. */
export const toResumed = (reply: Reply, owner: string): Resumed => {
  const [, spent, stored] = list(reply)
  const { checkpoint, head } = toCheckpointWithHead(stored)
  return {
    _tag: "Resumed",
    lease: { runId: checkpoint.runId, owner, fence: head.fence },
    checkpoint,
    exhausted: number(spent) === 1,
    idempotency: head.idempotency
  }
}

/** A record; the key of its run is added when its owner did not name it. */
export const toRun = (record: Reply | undefined, key: Reply | undefined, print: Reply | undefined): AgentRun => {
  const run = decodeRun(JSON.parse(text(record)))
  const idempotency = toIdempotency(key, print)
  return idempotency === undefined || run.idempotency !== undefined ? run : { ...run, idempotency }
}

/** The answer `{ now, runs }`: what is gone is left out. */
export const toRuns = (reply: Reply): ReadonlyArray<AgentRun | RunInFlight> => {
  const [now, runs] = list(reply)
  return list(runs).flatMap((entry) => {
    if (entry === null) return []
    const [kind, value, key, print] = list(entry)
    return [kind === "head" ? toHead(value, number(now)).run : toRun(value, key, print)]
  })
}
