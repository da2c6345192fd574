import { AgentRunJson } from "@everbeat/core/AgentRun"
import type { BeginInput, CheckpointStore, Delta, Replayed } from "@everbeat/core/CheckpointStore"
import type { Lease } from "@everbeat/core/Lease"
import { bucketOf, bucketOfAgent, type RunId } from "@everbeat/core/RunId"
import {
  AgentBusy,
  Conflict,
  Fenced,
  Gone,
  KeyMismatch,
  LeaseHeld,
  OtherDefinition,
  RunExists,
  RunNotFound,
  type StoreError
} from "@everbeat/core/StoreError"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Claims from "./claims.ts"
import * as Errors from "./errors.ts"
import { begin } from "./lua/begin.ts"
import { claim } from "./lua/claim.ts"
import { remove, settle } from "./lua/end.ts"
import { load } from "./lua/read.ts"
import type { Script } from "./lua/shared.ts"
import { release, renew, requestCancel, save } from "./lua/write.ts"
import { millisOf } from "./millis.ts"
import type { Partitions } from "./partitions.ts"
import * as Read from "./reply.ts"
import { grouped, idOf } from "./scan.ts"
import * as Text from "./text.ts"

type Service = CheckpointStore["Service"]
type Args = ReadonlyArray<string | number>

const encodeRun = Schema.encodeUnknownEffect(AgentRunJson)

/** Redis takes 1,048,576 arguments, and closes the connection on more; some are not rows. */
const maxRows = 1_000_000

/** Milliseconds that a renewal waits for a node at least, however short the lease is. */
const leastPatience = 500

/** Leases that one script renews. */
const renewSize = 500

const leaseArgs = ({ fence, owner, runId }: Lease): Args => [runId, Text.encode(owner), fence]

const headFields = ({ idempotency, maxAttempts, meta }: BeginInput): Args => {
  const fields: Array<string | number> = ["meta", JSON.stringify(meta), "agent", meta.agentName, "kind", meta.kind]
  const add = (name: string, value: string | undefined): void => {
    if (value !== undefined) fields.push(name, Text.encode(value))
  }
  const { definition } = meta
  fields.push("def", Text.encode(definition.name), "hash", Text.encode(definition.hash), "max", maxAttempts)
  add("caller", meta.callerId)
  add("channel", meta.channelId)
  add("parent", meta.parentRunId)
  add("key", idempotency?.key)
  add("print", idempotency?.fingerprint)
  return fields
}

const addDelta = (fields: Array<string | number>, delta: Delta): void => {
  if (delta.iteration !== undefined) fields.push("iter", delta.iteration)
  if (delta.phase !== undefined) fields.push("phase", Text.encode(delta.phase))
  if (delta.completedPhases !== undefined) fields.push("phases", JSON.stringify(delta.completedPhases))
  if (delta.notes !== undefined) fields.push("notes", Text.encode(delta.notes))
  if (delta.workspace !== undefined) fields.push("ws", Text.encode(delta.workspace))
}

const rangesOf = (segments: Delta["segments"]): string => {
  let ranges = ""
  for (const segment of segments) ranges += `${ranges === "" ? "" : ";"}${segment[0]},${segment[1]}`
  return ranges
}

const states: Readonly<Record<string, "renewed" | "fenced" | "gone">> = {
  renewed: "renewed",
  fenced: "fenced",
  gone: "gone"
}

export const make = (partitions: Partitions): Service => {
  const { ask, call, name, ofAgent, ofRun } = partitions

  const refused = (runId: RunId, tag: "gone" | "fenced"): Effect.Effect<never, Fenced | Gone> =>
    Effect.fail(tag === "gone" ? new Gone({ runId }) : new Fenced({ runId }))

  /** A write that a lease must allow. */
  const guarded = <A, E>(
    operation: string,
    script: Script,
    { runId }: Lease,
    args: Args,
    answer: () => Effect.Effect<A, E>
  ): Effect.Effect<A, E | Fenced | Gone | StoreError> =>
    ask(operation, script, ofRun(runId), args, (reply): Effect.Effect<A, E | Fenced | Gone> => {
      const [tag] = Read.list(reply)
      return tag === "gone" || tag === "fenced" ? refused(runId, tag) : answer()
    })

  const beginRun = (input: BeginInput): ReturnType<Service["begin"]> => {
    const { exclusive, idempotency, maxAttempts, meta: { agentName, runId }, owner, resumes, ttl } = input
    if (bucketOf(runId) !== bucketOfAgent(agentName)) {
      const detail = `run id ${runId} was not made for agent ${agentName}: make it with RunId.make`
      return Effect.fail(Errors.refused("begin", detail))
    }
    // A number that cannot be read back would spoil every list that the run is in.
    if (Number.isNaN(maxAttempts)) {
      return Effect.fail(Errors.refused("begin", "the number of attempts is not a number"))
    }
    const sameHash = resumes === "same-hash" ? 1 : 0
    const args = [runId, Text.encode(owner), millisOf(ttl), exclusive ? 1 : 0, name(), sameHash, ...headFields(input)]
    return ask("begin", begin, ofAgent(agentName), args, (reply): ReturnType<Service["begin"]> => {
      const [tag, first, second, third] = Read.list(reply)
      switch (tag) {
        case "begun":
          return Effect.succeed({ _tag: "Begun", lease: { runId, owner, fence: Read.number(first) } })
        case "resumed":
          return Effect.fromResult(Read.toResumed("begin", reply, owner))
        case "replayed":
          return Effect.succeed<Replayed>({ _tag: "Replayed", run: Read.toRun(first, second, third) })
        case "busy":
          return Effect.fail(
            new AgentBusy({ runId: idOf(Read.text(first)), retryAfterMillis: Read.number(second) })
          )
        case "other":
          return Effect.fail(
            new OtherDefinition({ runId: idOf(Read.text(first)), name: Text.decode(Read.text(second)) })
          )
        case "mismatch":
          return Effect.fail(new KeyMismatch({ key: idempotency?.key ?? "", runId: idOf(Read.text(first)) }))
        default:
          return Effect.fail(new RunExists({ runId }))
      }
    })
  }

  /** What each save of a lease sends. */
  const holds = new WeakMap<Lease, { readonly partition: number; readonly owner: string; readonly fence: string }>()
  const holdOf = (lease: Lease) => {
    let hold = holds.get(lease)
    if (hold === undefined) {
      hold = { partition: ofRun(lease.runId), owner: Text.encode(lease.owner), fence: String(lease.fence) }
      holds.set(lease, hold)
    }
    return hold
  }
  // One process asks for the same time nearly always.
  let ttl: Duration.Duration | undefined
  let ttlMillis = 0

  const saveRows = (lease: Lease, delta: Delta): ReturnType<Service["save"]> => {
    const { runId } = lease
    const hold = holdOf(lease)
    if (delta.rows.length > maxRows) {
      return Effect.fail(Errors.refused("save", `one save appends up to ${maxRows} messages, not ${delta.rows.length}`))
    }
    if (delta.iteration !== undefined && !Number.isSafeInteger(delta.iteration)) {
      return Effect.fail(Errors.refused("save", `the iteration ${delta.iteration} is not a whole number`))
    }
    if (delta.ttl !== ttl) {
      ttl = delta.ttl
      ttlMillis = millisOf(ttl)
    }
    const args: Array<string | number> = [runId, hold.owner, hold.fence, ttlMillis, delta.position, 0, name()]
    args.push(rangesOf(delta.segments))
    addDelta(args, delta)
    args[5] = args.length + 1
    for (const row of delta.rows) args.push(Text.encode(row))
    return ask("save", save, hold.partition, args, (reply): ReturnType<Service["save"]> => {
      if (reply === "gone" || reply === "fenced") return refused(runId, reply)
      if (Array.isArray(reply)) return Effect.fail(new Conflict({ runId, position: Read.number(reply[0]) }))
      const saved = Read.number(reply)
      return Effect.succeed({ position: Math.floor(saved / 2), cancelRequested: saved % 2 === 1 })
    })
  }

  const renewPart = (items: ReadonlyArray<Lease>, partition: number, ttl: Duration.Duration) =>
    call("renew", renew, partition, [millisOf(ttl), ...items.flatMap(leaseArgs)], (reply) => {
      const answers = Read.list(reply)
      return items.map((lease, index) => ({
        lease,
        state: states[Read.text(answers[2 * index])] ?? "unknown" as const,
        cancelRequested: Read.number(answers[2 * index + 1]) === 1
      }))
    })

  const renewAll: Service["renew"] = (leases, ttl) => {
    // Of a node that is down nothing is known; the answers of the others must be there before the caller gives up, who
    // waits for a quarter of the lease at least.
    const patience = Duration.min(
      Duration.divideUnsafe(partitions.settings.timeout, 2),
      Duration.millis(Math.max(leastPatience, millisOf(ttl) / 8))
    )
    return Effect.flatMap(
      Effect.forEach(
        grouped(leases, ({ runId }) => ofRun(runId), renewSize),
        ({ items, partition }) =>
          Effect.result(
            Effect.timeoutOrElse(renewPart(items, partition, ttl), {
              duration: patience,
              orElse: () => Effect.fail(Errors.timeout("renew", Duration.toMillis(patience)))
            })
          ),
        { concurrency: "unbounded" }
      ),
      (results) => {
        const renewed = results.flatMap((result) => Result.isSuccess(result) ? result.success : [])
        const failure = results.find(Result.isFailure)
        if (failure !== undefined && renewed.length === 0) return Effect.fail(failure.failure)
        const answers = new Map(renewed.map(({ lease, ...answer }) => [lease, answer]))
        return Effect.succeed(leases.map((lease) => ({
          runId: lease.runId,
          state: "unknown" as const,
          cancelRequested: false,
          ...answers.get(lease)
        })))
      }
    )
  }

  return {
    begin: beginRun,
    save: saveRows,
    settle: (lease, run) =>
      Effect.flatMap(
        Effect.mapError(encodeRun(run), (cause) =>
          Errors.refused("settle", `the record cannot be encoded: ${cause.message}`)),
        (record) =>
          guarded(
            "settle",
            settle,
            lease,
            [
              ...leaseArgs(lease),
              name(),
              JSON.stringify(record),
              run.status,
              DateTime.toEpochMillis(run.startedAt),
              partitions.settings.recordMillis
            ],
            () =>
              Effect.void
          )
      ),
    release: (lease, reason, options) => {
      const unstarted = options?.unstarted === true ? 1 : 0
      const shutdown = options?.shutdown === true ? 1 : 0
      const args = [...leaseArgs(lease), name(), Text.encode(reason ?? ""), unstarted, shutdown]
      return guarded("release", release, lease, args, () => Effect.void)
    },
    renew: renewAll,
    claim: (runId, owner, ttl) =>
      Effect.flatten(
        call(
          "claim",
          claim,
          ofRun(runId),
          [runId, Text.encode(owner), millisOf(ttl), name()],
          (reply): ReturnType<Service["claim"]> => {
            const [tag, millis] = Read.list(reply)
            if (tag === "none") return Effect.fail(new RunNotFound({ runId }))
            return tag === "held"
              ? Effect.fail(new LeaseHeld({ runId, retryAfterMillis: Read.number(millis) }))
              : Effect.fromResult(Read.toResumed("claim", reply, owner))
          }
        )
      ),
    claimNext: Claims.claimNext(partitions),
    listInterrupted: Claims.listInterrupted(partitions),
    requestCancel: (runId) =>
      Effect.flatMap(
        call("requestCancel", requestCancel, ofRun(runId), [runId], Read.number),
        (found) => found === 1 ? Effect.void : Effect.fail(new RunNotFound({ runId }))
      ),
    load: (runId: RunId) =>
      ask("load", load, ofRun(runId), [runId], (reply): ReturnType<Service["load"]> =>
        reply === null
          ? Effect.fail(new RunNotFound({ runId }))
          : Effect.fromResult(Read.toCheckpoint("load", runId, reply))),
    delete: (lease) => guarded("delete", remove, lease, leaseArgs(lease), () => Effect.void),
    ping: Effect.asVoid(partitions.command("ping", (client) => client.ping()))
  }
}
