/** The calls of `AgentClient`: one attempt after the other, until there is an answer. */
import * as Cause from "effect/Cause"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type {
  AgentClient,
  Checkpoint,
  HeartbeatOptions,
  ListOptions,
  Options,
  Report,
  ResumedRun,
  ResumeOptions,
  Run,
  RunPage
} from "../AgentClient.ts"
import { AgentProblem } from "../AgentError.ts"
import { type AgentFailure, type Asked, makeExchange } from "./agentExchange.ts"

/** A host that asks for more patience than this is asked again earlier. */
const maxRetryAfterMillis = 60_000
const maxBackoffMillis = 8_000

/** How long to wait before a run is looked at again, where the host does not stream. */
const pollMillis = 2_000

export const makeAgentClient = (options: Options): AgentClient => {
  const { cancel, discard, heartbeat, read, resume } = makeAgentCalls(options)
  const run = <A>(call: Effect.Effect<A, Error>, signal: AbortSignal | undefined): Promise<A> => {
    signal?.throwIfAborted()
    return Effect.runPromiseExit(call, signal === undefined ? undefined : { signal }).then((exit) => {
      if (Exit.isSuccess(exit)) return exit.value
      if (Cause.hasInterrupts(exit.cause)) signal?.throwIfAborted()
      throw Cause.squash(exit.cause)
    })
  }
  return {
    heartbeat: async (options = {}) => run(heartbeat(options), options.signal),
    runs: async (options = {}) => run(read<RunPage>(`/runs${queryOf(options)}`), options.signal),
    run: async (runId, options) => run(read<Run>(`/runs/${encodeURIComponent(runId)}`), options?.signal),
    cancel: async (runId, options) => run(cancel(runId), options?.signal),
    checkpoints: async (options = {}) => run(read<RunPage>(`/checkpoints${queryOf(options)}`), options.signal),
    checkpoint: async (runId, options) =>
      run(read<Checkpoint>(`/checkpoints/${encodeURIComponent(runId)}`), options?.signal),
    resume: async (runId, options = {}) => run(resume(runId, options), options.signal),
    discard: async (runId, options) => run(discard(runId), options?.signal)
  }
}

/** The same as effects, so that tests move their clock. */
export const makeAgentCalls = (options: Options) => {
  const { maxAttempts = 5, waitSeconds = 20 } = options
  const base = `${options.baseUrl.replace(/\/+$/u, "")}/api/agents/${encodeURIComponent(options.agentName)}`
  const exchange = makeExchange(options)

  const pause = (failure: AgentFailure, failures: number): Effect.Effect<void, Error> => {
    if (!failure.retry || failures >= maxAttempts) return Effect.fail(failure.error)
    const asked = failure.afterMillis
    return asked !== undefined
      ? Effect.sleep(Math.min(asked, maxRetryAfterMillis))
      // Agents that lost the host together must not come back together.
      : Effect.flatMap(
        Random.next,
        (part) => Effect.sleep(Math.min(500 * 2 ** (failures - 1), maxBackoffMillis) * (0.5 + part / 2))
      )
  }

  const read = <A>(path: string): Effect.Effect<A, Error> => {
    const attempt = (failures: number): Effect.Effect<A, Error> =>
      Effect.matchEffect(exchange({ method: "GET", url: `${base}${path}`, accept: "application/json" }), {
        onSuccess: (answer) =>
          answer._tag === "Json"
            ? Effect.succeed(answer.body as A) // the contract of the endpoint; there is no other JSON with 200
            : attempt(failures),
        onFailure: (failure) => Effect.andThen(pause(failure, failures + 1), attempt(failures + 1))
      })
    return attempt(0)
  }

  /** `done` tells what a refusal means that comes after a lost answer: the action may have been taken before. */
  const act = <A>(
    asked: Pick<Asked, "body" | "method"> & { readonly path: string },
    done: (problem: AgentProblem) => Effect.Effect<A, Error> | undefined
  ): Effect.Effect<A, Error> => {
    const { body, method, path } = asked
    const request: Asked = { method, url: `${base}${path}`, accept: "application/json", final: true }
    const attempt = (failures: number): Effect.Effect<A, Error> =>
      Effect.matchEffect(exchange(body === undefined ? request : { ...request, body }), {
        onSuccess: (answer) =>
          answer._tag === "Json"
            ? Effect.succeed(answer.body as A) // the contract of the endpoint
            : attempt(failures),
        onFailure: (failure) => {
          const over = failures > 0 && failure.error instanceof AgentProblem ? done(failure.error) : undefined
          if (over !== undefined) return over
          // Whoever holds the run may do so for long: the caller decides.
          return failure.busy === undefined
            ? Effect.andThen(pause(failure, failures + 1), attempt(failures + 1))
            : Effect.fail(failure.error)
        }
      })
    return attempt(0)
  }

  const cancel = (runId: string): Effect.Effect<Run, Error> => {
    const path = `/runs/${encodeURIComponent(runId)}`
    return act<Run>({ method: "POST", path: `${path}/cancel` }, (problem) =>
      isProblem(problem, "run-settled")
        ? Effect.filterOrFail(read<Run>(path), ({ status }) => status === "cancelled", () => problem)
        : undefined)
  }

  const resume = (runId: string, { followUp }: ResumeOptions): Effect.Effect<ResumedRun, Error> => {
    const run = `/runs/${encodeURIComponent(runId)}`
    return act<ResumedRun>(
      {
        method: "POST",
        path: `/checkpoints/${encodeURIComponent(runId)}/resume`,
        ...(followUp === undefined ? undefined : { body: JSON.stringify({ followUp }) })
      },
      (problem) =>
        isProblem(problem, "run-in-progress")
          ? Effect.succeed({
            runId,
            agentName: options.agentName,
            status: "running" as const,
            location: new URL(`${base}${run}`).pathname
          })
          : undefined
    )
  }

  const discard = (runId: string): Effect.Effect<void, Error> =>
    act<undefined>(
      { method: "DELETE", path: `/checkpoints/${encodeURIComponent(runId)}` },
      (problem) => isProblem(problem, "run-not-found") ? Effect.undefined : undefined
    )

  const heartbeat = (
    { idempotencyKey = uuidV7Unsafe(), onProgress, payload }: Omit<HeartbeatOptions, "signal">
  ): Effect.Effect<Report, Error> => {
    const begin: Asked = {
      method: "POST",
      url: `${base}/heartbeat`,
      accept: onProgress === undefined ? "application/json" : "text/event-stream",
      headers: { "idempotency-key": idempotencyKey, prefer: `wait=${waitSeconds}` },
      ...(payload === undefined ? undefined : { body: JSON.stringify(payload) })
    }
    /** Whoever began the run that is in the way, this heartbeat comes after it: as its repetition, or as the next one. */
    const endOf = (runId: string): Effect.Effect<void> =>
      Effect.ignore(exchange({ method: "GET", url: `${base}/runs/${runId}`, accept: "text/event-stream" }))
    /** `seen` is the last event of the stream that `asked` opened. */
    const attempt = (asked: Asked, seen: string | undefined, failures: number): Effect.Effect<Report, Error> => {
      let last = seen
      let failed = failures
      const told = exchange(asked, {
        seen,
        onEvent: ({ data, event, id }) => {
          last = id ?? last
          if (event !== "run-status") failed = 0
          onProgress?.({ event, data })
        }
      })
      return Effect.matchEffect(told, {
        onSuccess: (answer) => {
          switch (answer._tag) {
            case "Report":
              return Effect.succeed(answer.report)
            case "Accepted":
              return attempt({ method: "GET", url: answer.location, accept: "text/event-stream" }, undefined, failed)
            // The record of the run, from a host that does not stream: its report is what the same key is answered with.
            case "Json":
              return isOver(answer.body)
                ? attempt(begin, undefined, failed)
                : Effect.andThen(Effect.sleep(pollMillis), attempt(asked, last, failed))
          }
        },
        onFailure: (failure) => {
          const again = failure.over === true ? attempt(begin, undefined, failed + 1) : attempt(asked, last, failed + 1)
          return pause(failure, failed + 1).pipe(
            Effect.andThen(failure.busy === undefined ? Effect.void : endOf(failure.busy)),
            Effect.andThen(again)
          )
        }
      })
    }
    return Effect.suspend(() => attempt(begin, undefined, 0))
  }

  return { cancel, discard, heartbeat, read, resume }
}

const isProblem = ({ type }: AgentProblem, slug: string): boolean => type === `https://everbeat.dev/problems/${slug}`

const isOver = (run: unknown): boolean =>
  typeof run === "object" && run !== null && "status" in run && run.status !== "running"
  && run.status !== "interrupted"

const queryOf = (
  { callerId, cursor, from, kind, limit, status = [], until }: Omit<ListOptions, "signal">
): string => {
  const query = new URLSearchParams(status.map((status) => ["status", status]))
  const others = { limit, cursor, kind, callerId, from: from?.toISOString(), until: until?.toISOString() }
  for (const [name, value] of Object.entries(others)) if (value !== undefined) query.set(name, String(value))
  return query.size === 0 ? "" : `?${query}`
}
