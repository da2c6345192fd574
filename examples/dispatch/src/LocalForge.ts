import { NodeHttpServer } from "@effect/platform-node"
import { Context, DateTime, type Duration, Effect, Layer, type Redacted, Ref, Schema } from "effect"
import { type HttpServerError, HttpServerRequest } from "effect/http"
import { createServer } from "node:http"
import { Forge, type ForgeOptions } from "./Forge.ts"
import { recordedEvents, recordedIssues } from "./ForgePayloads.ts"
import { answer, type Fault } from "./LocalForgeAnswer.ts"
import { applyEvent, editIssue, type IssueEdit } from "./LocalForgeIssues.ts"

/** A control named a repository or issue the local forge does not have. */
export class NotServed extends Schema.TaggedError<NotServed>()("NotServed", {
  wanted: Schema.String,
  served: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `The local forge does not serve ${this.wanted}`
  }

  /** What to do about it. */
  get hint(): string {
    return `Use one of: ${this.served.join(", ")}.`
  }
}

/** What a replayed webhook event did. */
export interface Replayed {
  readonly action: string
  readonly repository: string
  readonly number: number
  /** Whether title, state, assignee or presence of the issue changed, which is what Dispatch looks at. */
  readonly changed: boolean
}

/** A request the local forge received. */
export interface ReceivedRequest {
  /** Path and query. */
  readonly path: string
  /** `null` while a stalled repository leaves the request unanswered. */
  readonly status: number | null
  readonly authorization: "absent" | "accepted" | "refused"
}

/** How the local forge is started. */
export interface LocalForgeOptions {
  /** Port on the loopback interface. @default 0, any free port */
  readonly port?: number | undefined
  /** Requests without this token are refused with 401. @default none is wanted */
  readonly token?: Redacted.Redacted | undefined
}

const keptRequests = 500

const make = Effect.fnUntraced(function*(options: LocalForgeOptions) {
  const repositories = yield* Ref.make(recordedIssues())
  const faults = yield* Ref.make<ReadonlyMap<string, Fault>>(new Map())
  const received = yield* Ref.make<ReadonlyArray<ReceivedRequest>>([])
  const events = recordedEvents()
  const replayed = yield* Ref.make(0)

  const server = createServer()
  const http = yield* NodeHttpServer.make(() => server, { port: options.port ?? 0, host: "127.0.0.1" })
  if (http.address._tag === "UnixPathAddress") {
    return yield* Effect.die(new Error("The local forge listens on a TCP port, and the server has none"))
  }
  const url = `http://127.0.0.1:${http.address.port}`

  yield* http.serve(Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const result = yield* answer({
      url,
      token: options.token,
      method: request.method,
      path: request.url,
      headers: request.headers,
      repositories: yield* Ref.get(repositories),
      takeFault: (repository) => Ref.modify(faults, (faults) => takeFault(faults, repository))
    })
    const entry: ReceivedRequest = {
      path: request.url,
      status: result.response?.status ?? null,
      authorization: result.authorization
    }
    yield* Ref.update(received, (all) => [...all.slice(1 - keptRequests), entry])
    // The server runs handlers uninterruptibly, and a stalled request ends only when its connection does.
    return result.response ?? (yield* Effect.interruptible(Effect.never))
  }))

  // Runs before the server's own finalizers, which wait for answers: a stalled request would never let them finish.
  yield* Effect.addFinalizer(() =>
    Effect.callback<void>((resume) => {
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    })
  )

  const served = Effect.fnUntraced(function*(repository: string) {
    const all = yield* Ref.get(repositories)
    return all.has(repository)
      ? repository
      : yield* new NotServed({ wanted: repository, served: [...all.keys()] })
  })

  const setFault = Effect.fnUntraced(function*(repository: string, fault: Fault | undefined) {
    yield* served(repository)
    yield* Ref.update(faults, (faults) => {
      const next = new Map(faults)
      next.delete(repository)
      return fault === undefined ? next : next.set(repository, fault)
    })
  })

  const nextEvent = Effect.gen(function*() {
    const position = yield* Ref.getAndUpdate(replayed, (position) => position + 1)
    const event = events[position % events.length]
    if (event === undefined) {
      return yield* Effect.die(new Error("The recordings contain no issues event"))
    }
    const now = yield* DateTime.now
    const repository = event.repository.full_name
    const changed = yield* Ref.modify(repositories, (all) => {
      const result = applyEvent(all.get(repository) ?? [], event, now)
      return [result.changed, new Map(all).set(repository, result.issues)]
    })
    return { action: event.action, repository, number: event.issue.number, changed } satisfies Replayed
  })

  return LocalForge.of({
    url,
    repositories: [...(yield* Ref.get(repositories)).keys()],
    requests: Ref.get(received),
    rateLimit: Effect.fnUntraced(function*(repository, resetIn = "15 minutes") {
      const now = yield* DateTime.now
      // The header that announces the time has whole seconds.
      const resetAt = DateTime.startOf(DateTime.addDuration(now, resetIn), "second")
      yield* setFault(repository, { _tag: "RateLimit", resetAt })
      return resetAt
    }),
    fail: (repository, status, times = Infinity) => setFault(repository, { _tag: "Status", status, times }),
    stall: (repository) => setFault(repository, { _tag: "Stall" }),
    truncate: (repository) => setFault(repository, { _tag: "Truncate" }),
    heal: (repository) => setFault(repository, undefined),
    edit: Effect.fnUntraced(function*(repository, number, edit) {
      yield* served(repository)
      const now = yield* DateTime.now
      const known = yield* Ref.modify(repositories, (all) => {
        const result = editIssue(all.get(repository) ?? [], number, edit, now)
        return [result.known, new Map(all).set(repository, result.issues)]
      })
      if (!known) {
        return yield* new NotServed({
          wanted: `${repository}#${number}`,
          served: [...(yield* Ref.get(repositories)).keys()]
        })
      }
    }),
    nextEvent,
    replay: (count) => Effect.replicateEffect(nextEvent, count)
  })
})

/**
 * A forge on the loopback interface that serves issues recorded from GitHub in the shape of GitHub's REST API, so that
 * Dispatch can be run and tested without the network. Its controls make it fail the way forges fail, and change its
 * issues with recorded webhook events. It closes with its scope at once, whatever requests are open.
 */
export class LocalForge extends Context.Service<LocalForge, {
  /** Root of the REST API, for `FORGE_URL`. */
  readonly url: string
  /** The served repositories. */
  readonly repositories: ReadonlyArray<string>
  /** The last 500 requests, oldest first. */
  readonly requests: Effect.Effect<ReadonlyArray<ReceivedRequest>>
  /** Spends the rate limit of a repository and says when it resets. The limit stays until `heal`. */
  readonly rateLimit: (
    repository: string,
    resetIn?: Duration.Input
  ) => Effect.Effect<DateTime.Utc, NotServed>
  /** Answers with a status, for the given number of requests or until `heal`. */
  readonly fail: (repository: string, status: number, times?: number) => Effect.Effect<void, NotServed>
  /** Leaves requests unanswered until `heal`; requests that already wait stay unanswered. */
  readonly stall: (repository: string) => Effect.Effect<void, NotServed>
  /** Cuts answers off in the middle until `heal`. */
  readonly truncate: (repository: string) => Effect.Effect<void, NotServed>
  /** Ends whatever is wrong with a repository. */
  readonly heal: (repository: string) => Effect.Effect<void, NotServed>
  /** Changes an issue as a person on the forge would. */
  readonly edit: (repository: string, number: number, edit: IssueEdit) => Effect.Effect<void, NotServed>
  /** Applies the next recorded `issues` webhook event; begins again after the last. */
  readonly nextEvent: Effect.Effect<Replayed>
  /** Applies the next recorded events. */
  readonly replay: (count: number) => Effect.Effect<ReadonlyArray<Replayed>>
}>()("@everbeat/example-dispatch/LocalForge") {
  /** A local forge with the given options. */
  static readonly layerWith = (options: LocalForgeOptions): Layer.Layer<LocalForge, HttpServerError.ServeError> =>
    Layer.effect(LocalForge, make(options))

  /** A local forge on a free port that wants no token. */
  static readonly layer: Layer.Layer<LocalForge, HttpServerError.ServeError> = LocalForge.layerWith({})

  /** The forge client, connected to the local forge. */
  static readonly layerForge = (options?: Omit<ForgeOptions, "url">): Layer.Layer<Forge, never, LocalForge> =>
    Layer.unwrap(Effect.map(LocalForge, ({ url }) => Forge.layerWith({ ...options, url })))
}

// internal

const takeFault = (
  faults: ReadonlyMap<string, Fault>,
  repository: string
): readonly [Fault | undefined, ReadonlyMap<string, Fault>] => {
  const fault = faults.get(repository)
  if (fault?._tag !== "Status") {
    return [fault, faults]
  }
  const next = new Map(faults)
  if (fault.times > 1) {
    next.set(repository, { ...fault, times: fault.times - 1 })
  } else {
    next.delete(repository)
  }
  return [fault, next]
}
