/** The passes of this process that were asked for over HTTP, for those who want to see their progress. */
import * as Diagnostic from "@everbeat/core/Diagnostic"
import type { Pass } from "@everbeat/core/Heartbeat"
import type { PassEvent } from "@everbeat/core/Report"
import type { RunId } from "@everbeat/core/RunId"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Problem from "../Problem.ts"
import { conclude } from "./conclude.ts"
import { Feed } from "./feed.ts"
import { problemOf } from "./problemOf.ts"
import { reportJson } from "./reportJson.ts"
import { problemJson } from "./respond.ts"

type AnyPass = Pass<unknown, unknown>

/** Ended passes whose frames are kept for a client that lost its connection just before the end. */
const keptFeeds = 64

/** ... and how long the text of all of them may be. */
const keptLength = 4_000_000

export const encodeDiagnostic = Schema.encodeUnknownSync(Schema.toCodecJson(Diagnostic.Diagnostic))

export const reportFrame = (feed: Pick<Feed, "push">, answer: ReturnType<typeof conclude> | Problem.Problem): void => {
  if (answer instanceof Error) feed.push("problem", problemJson(answer))
  else feed.push("report", reportJson(answer))
}

export class Passes {
  private readonly running = new Map<RunId, AnyPass>()
  private readonly feeds = new Map<RunId, Feed>()
  private readonly scope: Scope.Scope

  constructor(scope: Scope.Scope) {
    this.scope = scope
  }

  /** Keeps the pass until it ends. */
  add(pass: AnyPass): Effect.Effect<void> {
    if (pass.origin === "replayed") return Effect.void
    const { runId } = pass
    this.running.set(runId, pass)
    this.feeds.delete(runId) // of an attempt before
    return Effect.exit(pass.report).pipe(
      Effect.ensuring(Effect.sync(() => {
        if (this.running.get(runId) === pass) this.running.delete(runId)
      })),
      Effect.forkIn(this.scope, { startImmediately: true }), // most have ended by now
      Effect.asVoid
    )
  }

  /** The frames of a pass, from its first event on; nothing when it is not of this process. */
  feedOf(runId: RunId, pass: AnyPass | undefined = this.running.get(runId)): Effect.Effect<Feed | undefined> {
    return Effect.suspend(() => {
      const known = this.feeds.get(runId)
      if (known !== undefined || pass === undefined) return Effect.succeed(known)
      const feed = new Feed(runId)
      if (pass.origin !== "replayed") this.keep(runId, feed)
      return Stream.runForEach(pass.events, (event) => Effect.sync(() => write(feed, event))).pipe(
        Effect.catch((error) => Effect.sync(() => reportFrame(feed, problemOf(error)))),
        Effect.ensuring(Effect.sync(() => feed.end())),
        Effect.forkIn(this.scope),
        Effect.as(feed)
      )
    })
  }

  private keep(runId: RunId, feed: Feed): void {
    this.feeds.set(runId, feed)
    const ended = [...this.feeds].filter(([, { ended }]) => ended)
    let count = ended.length
    let length = ended.reduce((sum, [, feed]) => sum + feed.length, 0)
    for (const [id, feed] of ended) { // the oldest first
      if (count <= keptFeeds && length <= keptLength) return
      this.feeds.delete(id)
      count--
      length -= feed.length
    }
  }
}

const write = (feed: Feed, event: PassEvent<unknown, unknown>): void => {
  switch (event._tag) {
    case "PassStarted":
      return feed.push("run-started", { runId: event.runId, agentName: event.agentName, attempt: event.attempt })
    case "StepStarted":
      return feed.push("step-started", { step: event.step })
    case "Warned":
      return feed.push("warning", encodeDiagnostic(event.warning))
    case "StepEnded": {
      const { attempts, millis, name, status } = event.outcome
      return feed.push("step-ended", { step: name, status, attempts, millis })
    }
    case "PassEnded":
      feed.concluded = true
      return reportFrame(feed, conclude(event.report, false))
  }
}
