/** Live progress of a run as a response: of this process from its frames, of another one from the store. */
import { type AgentRun, isSettled, type RunInFlight } from "@everbeat/core/AgentRun"
import type { CheckpointStore } from "@everbeat/core/CheckpointStore"
import { PassCancelled } from "@everbeat/core/PassError"
import * as RunCheckpoint from "@everbeat/core/RunCheckpoint"
import type { RunId } from "@everbeat/core/RunId"
import type { RunStore } from "@everbeat/core/RunStore"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { SettledRun } from "../EverbeatApi.ts"
import * as HeartbeatReport from "../HeartbeatReport.ts"
import { type EventId, type Feed, frameOf, opening } from "./feed.ts"
import type { OpenStreams } from "./openStreams.ts"
import { encodeDiagnostic, reportFrame } from "./passes.ts"
import { problemOf } from "./problemOf.ts"
import { limited } from "./storeLimit.ts"

/** How often the store is asked for the end of a run of another process. */
const pollEvery = "2 seconds"

/** Pings between two polls that found nothing new: about one in fifteen seconds. */
const pollsPerPing = 7

/** Completed when the engine has stopped: nobody waits here for other processes any more. */
export type Closing = Deferred.Deferred<void>

export const respondEvents = (
  frames: Stream.Stream<string>,
  open: OpenStreams
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.stream(
    Stream.make(opening).pipe(Stream.concat(frames), open.count, Stream.encodeText),
    {
      contentType: "text/event-stream",
      // No proxy is to hold events back, to pack them or to keep them.
      headers: { "cache-control": "no-store, no-transform", "x-accel-buffering": "no" }
    }
  )

/** Tells a client that comes back after the last event not to come again: one that gets an empty stream does so for ever. */
export const nothingMore = HttpServerResponse.empty({ status: 204, headers: { "cache-control": "no-store" } })

/** What a run that has ended still tells a client that has seen an event of it: events of this process, the record, nothing. */
export const restOf = (feed: Feed | undefined, seen: EventId): "events" | "record" | "nothing" => {
  if (seen.tag === "record") return "nothing"
  if (feed === undefined) return "record"
  if (!feed.isSeen(seen)) return "events"
  return feed.concluded ? "nothing" : "record"
}

export const framesOf = (feed: Feed, seen: EventId | undefined): Stream.Stream<string> =>
  feed.read(feed.positionAfter(seen))

/** The last frame of a run that has ended. */
const lastFrame = (run: AgentRun): ReadonlyArray<string> => {
  const frames: Array<string> = []
  const feed = {
    push: (event: string, data: unknown) => void frames.push(frameOf(event, data, `${run.runId}.record.1`))
  }
  if (run.kind === "agent") feed.push("run", encodeRun(run))
  else if (run.status === "cancelled") reportFrame(feed, problemOf(new PassCancelled({ runId: run.runId })))
  else reportFrame(feed, HeartbeatReport.fromRun({ ...run, status: run.status }))
  return frames
}

const encodeRun = Schema.encodeUnknownSync(Schema.toCodecJson(SettledRun))

interface Watched {
  readonly status: string
  readonly iteration: number
  readonly phase: string
  /** Rows of the checkpoint that were told, the first one being 1. */
  readonly told: number
  readonly polls: number
  readonly over: boolean
}

/** The steps of a pass after the first so many rows, and how many rows there are. */
const stepsAfter = (checkpoint: RunCheckpoint.RunCheckpoint, told: number) =>
  Effect.map(RunCheckpoint.steps(checkpoint), (steps) => {
    const known = told > steps.length ? 0 : told // it began anew
    const frames = steps.slice(known).flatMap(({ attempts, millis, name, status, warnings }, index) => [
      ...warnings.map((warning) => frameOf("warning", encodeDiagnostic(warning))),
      frameOf("step-ended", { step: name, status, attempts, millis }, `${checkpoint.runId}.steps.${known + index + 1}`)
    ])
    return { frames, told: steps.length }
  })

/**
 * What the store tells of a run until it has ended: changes of its status, its progress as far as it is durable, and its
 * record. A poll is one statement, and one more when there is a new step to be read.
 */
export const watchRun = (
  { checkpoints, runs }: {
    readonly runs: RunStore["Service"]
    readonly checkpoints: CheckpointStore["Service"] | undefined
  },
  runId: RunId,
  seen: EventId | undefined,
  closing: Closing
): Stream.Stream<string> => {
  const start: Watched = {
    status: "",
    iteration: 0,
    phase: "",
    told: seen?.tag === "steps" ? seen.number : 0,
    polls: 0,
    over: false
  }
  /** What is new in the progress; nothing when it cannot be read now: the next poll tries again. */
  const progressOf = (run: RunInFlight, state: Watched) =>
    Effect.gen(function*() {
      const { iteration, phase } = run
      if (iteration === state.iteration && phase === state.phase) return { frames: [], state }
      if (run.kind === "agent") {
        return { frames: [frameOf("run-progress", { runId, iteration, phase })], state: { ...state, iteration, phase } }
      }
      if (checkpoints === undefined) return { frames: [], state }
      const checkpoint = yield* limited("load", () => checkpoints.load(runId))
      const { frames, told } = yield* stepsAfter(checkpoint, state.told)
      return { frames, state: { ...state, told, iteration } }
    }).pipe(
      // By another version: the end will tell.
      Effect.catchTag("CheckpointUnreadable", () =>
        Effect.succeed({ frames: [], state: { ...state, iteration: run.iteration } })),
      Effect.orElseSucceed(() => ({ frames: [], state }))
    )

  return Stream.unfold(start, (before) =>
    Effect.gen(function*() {
      if (before.over) return undefined
      if (before.polls > 0) yield* Effect.sleep(pollEvery)
      const polled = { ...before, polls: before.polls + 1 }
      const quiet = polled.polls % pollsPerPing === 0 ? ": ping\n\n" : ""
      const run = yield* Effect.option(limited("get", () => runs.get(runId)))
      if (run._tag === "None") return [quiet, polled] as const
      if (isSettled(run.value)) return [lastFrame(run.value).join(""), { ...polled, over: true }] as const
      const { status } = run.value
      const changed = status === before.status ? [] : [frameOf("run-status", { runId, status })]
      const { frames, state } = yield* progressOf(run.value, polled)
      const text = [...changed, ...frames].join("")
      // Of a run that is kept for people nothing more happens by itself.
      return [text === "" ? quiet : text, { ...state, status, over: status === "exhausted" }] as const
    })).pipe(Stream.filter((frame) => frame !== ""), Stream.interruptWhen(Deferred.await(closing)))
}
