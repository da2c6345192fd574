/** Live progress of a run as a response: of this process from its frames, of another one from the store. */
import { type AgentRun, isSettled } from "@everbeat/core/AgentRun"
import { PassCancelled } from "@everbeat/core/PassError"
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
import { reportFrame } from "./passes.ts"
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

export const framesOf = (feed: Feed, seen: EventId | undefined): Stream.Stream<string> =>
  feed.read(feed.positionAfter(seen))

/** The last frame of a run that has ended, unless the client has seen it. */
const lastFrame = (run: AgentRun, seen: EventId | undefined): ReadonlyArray<string> => {
  if (seen?.tag === "record") return []
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

/** What the store tells of a run until it has ended: changes of its status, and its record. */
export const watchRun = (
  runs: RunStore["Service"],
  runId: RunId,
  seen: EventId | undefined,
  closing: Closing
): Stream.Stream<string> =>
  Stream.unfold({ status: "", polls: 0, over: false }, (state) =>
    Effect.gen(function*() {
      if (state.over) return undefined
      if (state.polls > 0) yield* Effect.sleep(pollEvery)
      const run = yield* Effect.option(limited("get", () => runs.get(runId)))
      const polls = state.polls + 1
      const quiet = polls % pollsPerPing === 0 ? ": ping\n\n" : ""
      if (run._tag === "None") return [quiet, { ...state, polls }] as const
      if (isSettled(run.value)) {
        return [lastFrame(run.value, seen).join(""), { status: run.value.status, polls, over: true }] as const
      }
      const { status } = run.value
      const frame = status === state.status ? quiet : frameOf("run-status", { runId, status })
      // Of a run that is kept for people nothing more happens by itself.
      return [frame, { status, polls, over: status === "exhausted" }] as const
    })).pipe(Stream.filter((frame) => frame !== ""), Stream.interruptWhen(Deferred.await(closing)))
