/** One request of `AgentClient` and what its answer means. */
import * as Effect from "effect/Effect"
import type { Options, Progress, Report } from "../AgentClient.ts"
import { AgentProblem, AgentUnreachable } from "../AgentError.ts"
import { makeEventParser, type ServerEvent } from "./eventStream.ts"

export interface Asked {
  readonly method: "DELETE" | "GET" | "POST"
  readonly url: string
  readonly accept: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Whatever succeeds is the answer, also 202 and 204: nothing is followed. */
  readonly final?: boolean
}

export type Answer =
  | { readonly _tag: "Report"; readonly report: Report }
  | { readonly _tag: "Accepted"; readonly location: string }
  | { readonly _tag: "Json"; readonly body: unknown }

export interface AgentFailure {
  readonly error: Error
  readonly retry: boolean
  /** What the host asked for. */
  readonly afterMillis?: number | undefined
  /** Whether the events say so: the pass is over, without a report. */
  readonly over?: boolean
  /** The run that is in the way. */
  readonly busy?: string | undefined
}

interface Following {
  readonly seen: string | undefined
  readonly onEvent: (event: Progress & { readonly id: string | undefined }) => void
}

/** The host sends a comment every 15 seconds: a stream that is quiet for longer than this is dead. */
const quietLimit = "60 seconds"

export const makeExchange = ({ fetch = globalThis.fetch, token }: Options) => {
  const send = (asked: Asked, seen: string | undefined): Effect.Effect<Response, AgentFailure> =>
    Effect.tryPromise({
      try: async (signal) => {
        const bearer = typeof token === "function" ? await token() : token
        return fetch(asked.url, {
          method: asked.method,
          headers: {
            accept: asked.accept,
            authorization: `Bearer ${bearer}`,
            ...asked.headers,
            ...(asked.body === undefined ? undefined : { "content-type": "application/json" }),
            ...(seen === undefined ? undefined : { "last-event-id": seen })
          },
          ...(asked.body === undefined ? undefined : { body: asked.body }),
          // A redirect would turn the call into another one, and may lead elsewhere.
          redirect: "manual",
          signal
        })
      },
      catch: (cause) => broken(`${asked.method} ${asked.url} failed`, cause)
    })

  return (asked: Asked, { onEvent, seen }: Following = unseen): Effect.Effect<Answer, AgentFailure> =>
    Effect.flatMap(send(asked, seen), (response) => {
      const type = response.headers.get("content-type") ?? ""
      if (response.ok && /^text\/event-stream\b/iu.test(type)) return follow(asked, response, onEvent)
      return Effect.flatMap(textOf(asked, response), (text) => {
        const body = /\bjson\b/iu.test(type) ? parse(text) : undefined
        if (asked.final === true && (response.status === 204 || response.ok && body !== undefined)) {
          return Effect.succeed<Answer>({ _tag: "Json", body })
        }
        if (!response.ok || body === undefined) return Effect.fail(refused(asked, response, body))
        if (response.status === 202) return accepted(asked, response)
        return Effect.succeed<Answer>(
          asked.method === "POST" ? { _tag: "Report", report: body as Report } : { _tag: "Json", body }
        )
      })
    })
}

const unseen: Following = { seen: undefined, onEvent: () => {} }

const textOf = (asked: Asked, response: Response): Effect.Effect<string, AgentFailure> =>
  Effect.tryPromise({
    try: () => response.text(),
    catch: (cause) => broken(`The answer to ${asked.method} ${asked.url} broke off`, cause)
  })

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const broken = (message: string, cause: unknown): AgentFailure => ({
  error: new AgentUnreachable(`${message}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause }),
  retry: true
})

const accepted = (asked: Asked, response: Response): Effect.Effect<Answer, AgentFailure> => {
  const location = response.headers.get("location") ?? ""
  const url = URL.canParse(location, asked.url) ? new URL(location, asked.url) : undefined
  // The token is for the host alone.
  return location !== "" && url?.origin === new URL(asked.url).origin
    ? Effect.succeed({ _tag: "Accepted", location: url.href })
    : Effect.fail({
      error: new AgentUnreachable(`${asked.url} answered 202 with a Location that is not of this host: '${location}'`),
      retry: false
    })
}

const isRecord = (u: unknown): u is Readonly<Record<string, unknown>> =>
  typeof u === "object" && u !== null && !Array.isArray(u)

const refused = (asked: Asked, response: Response, body: unknown): AgentFailure => {
  const { status } = response
  const header = response.headers.get("retry-after") ?? ""
  const afterMillis = /^\d{1,6}$/u.test(header) ? Number(header) * 1000 : undefined
  if (isRecord(body) && typeof body["type"] === "string") return problem(body, status, afterMillis)
  // Something in between answered, in its own words.
  return {
    error: new AgentUnreachable(`${asked.method} ${asked.url} was answered with ${status}, and not by the API.`),
    retry: [408, 425, 429, 500, 502, 503, 504].includes(status),
    afterMillis
  }
}

const busy = "https://everbeat.dev/problems/run-in-progress"

/** The host says when repeating helps. */
const problem = (
  body: Readonly<Record<string, unknown>>,
  status: number,
  afterMillis = typeof body["retryAfterSeconds"] === "number" ? body["retryAfterSeconds"] * 1000 : undefined
): AgentFailure => ({
  error: new AgentProblem(body, status),
  retry: afterMillis !== undefined,
  afterMillis,
  busy: body["type"] === busy && typeof body["runId"] === "string" ? body["runId"] : undefined
})

/** Reads events until one is the answer. */
const follow = (
  asked: Asked,
  response: Response,
  onEvent: Following["onEvent"]
): Effect.Effect<Answer, AgentFailure> =>
  Effect.acquireUseRelease(
    Effect.sync(() => response.body?.getReader()),
    (reader) => {
      const parser = makeEventParser()
      const decoder = new TextDecoder()
      const ended = broken(`The events of ${asked.url} broke off`, new Error("no report came"))
      const chunk = Effect.tryPromise({
        try: async () => reader?.read(),
        catch: (cause) => broken(`The events of ${asked.url} broke off`, cause)
      }).pipe(Effect.timeoutOrElse({ duration: quietLimit, orElse: () => Effect.fail(ended) }))
      const next: Effect.Effect<Answer, AgentFailure> = Effect.flatMap(chunk, (read) => {
        if (read === undefined || read.done) return Effect.fail(ended)
        for (const event of parser(decoder.decode(read.value, { stream: true }))) {
          const answer = answerOf(event, onEvent)
          if (answer !== undefined) return answer
        }
        return next
      })
      return next
    },
    (reader) => Effect.sync(() => void reader?.cancel().catch(() => undefined))
  )

const answerOf = (
  { data: text, event, id }: ServerEvent,
  onEvent: Following["onEvent"]
): Effect.Effect<Answer, AgentFailure> | undefined => {
  const data = parse(text)
  if (event === "report") return Effect.succeed({ _tag: "Report", report: data as Report })
  if (event === "problem" && isRecord(data)) {
    return Effect.fail({ ...problem(data, typeof data["status"] === "number" ? data["status"] : 500), over: true })
  }
  onEvent({ event, data, id })
  if (event !== "run-status" || !isRecord(data) || data["status"] !== "exhausted") return undefined
  // Nothing more happens to such a run by itself: what the heartbeat answers says what is to be done.
  return Effect.fail({ error: new AgentUnreachable("The run was given up by the host."), retry: true, over: true })
}
