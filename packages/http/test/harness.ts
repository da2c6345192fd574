import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import * as Heartbeat from "@everbeat/core/Heartbeat"
import * as HeartbeatEngine from "@everbeat/core/HeartbeatEngine"
import { RunStore } from "@everbeat/core/RunStore"
import * as Step from "@everbeat/core/Step"
import { AgentAuth, HeartbeatHandler } from "@everbeat/http"
import { MemoryStore } from "@everbeat/store-memory"
import { Context, Deferred, Effect, Layer, Redacted, Schema } from "effect"

export const secrets = {
  triage: "evb_test_triage1_4mDq8XkfN2wSbVYtPz7LhRaJcEuG6s9K",
  release: "evb_test_release1_7QbTz3xWvNcK5pYhM8rLdJfAeGsU2a4R",
  ghost: "evb_test_ghost1_9LrWq5tXbVnZ3cKyHmPd7JfGeAsU4a2Q",
  reader: "evb_test_reader1_2HsLw8xQvTbN4cKyRmPd6JfZeAgU9a3Y"
} as const

/** The type of a problem. */
export const problem = (slug: string): string => `https://everbeat.dev/problems/${slug}`

/** `ghost` has a token and no heartbeat; `reader` may only read the runs of triage. */
export const auth = Effect.map(
  Effect.all({
    triage: AgentAuth.digest(Redacted.make(secrets.triage)),
    release: AgentAuth.digest(Redacted.make(secrets.release)),
    ghost: AgentAuth.digest(Redacted.make(secrets.ghost)),
    reader: AgentAuth.digest(Redacted.make(secrets.reader))
  }),
  (digests) =>
    AgentAuth.tokens([
      { agentName: "triage", tokenId: "triage-1", sha256: digests.triage },
      { agentName: "release", tokenId: "release-1", sha256: digests.release },
      { agentName: "ghost", tokenId: "ghost-1", sha256: digests.ghost },
      { agentName: "triage", tokenId: "reader-1", sha256: digests.reader, scopes: ["read"] }
    ])
)

/** A step that stands still until the test opens it, and says when it was reached. */
export const makeGate = Effect.gen(function*() {
  const reached = yield* Deferred.make<void>()
  const opened = yield* Deferred.make<void>()
  return {
    reached: Deferred.await(reached),
    open: Deferred.succeed(opened, undefined),
    pass: Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(opened))
  }
})

class Flaky extends Schema.TaggedError<Flaky>("test/Flaky")("Flaky", { detail: Schema.String }) {
  override get message(): string {
    return this.detail
  }
  get hint(): string {
    return "Try later."
  }
}

/** Touches an issue, warns when the payload says so, fails when it says so, and echoes what it got. */
export const seen: Array<unknown> = []

const sync = Step.make(
  "sync",
  Effect.gen(function*() {
    const { payload } = yield* Step.Current
    seen.push(payload)
    yield* Step.touch("https://issues.test/7")
    const asked = typeof payload === "object" && payload !== null && "mode" in payload ? payload["mode"] : undefined
    if (asked === "warn") yield* Step.warn(new Flaky({ detail: "The tracker is slow." }))
    if (asked === "fail") return yield* new Flaky({ detail: "The tracker is down." })
    if (asked === "throw") throw new Error("secret detail of a bug")
  })
)

export const heartbeats = { triage: Heartbeat.make("dispatch", [sync]), release: Heartbeat.make("dispatch", [sync]) }

export const gated = (pass: Effect.Effect<unknown>) => Heartbeat.make("gated", [Step.make("gate", Effect.asVoid(pass))])

export const host = HeartbeatEngine.layer.pipe(Layer.provideMerge(MemoryStore.layer))

/** The memory store with one method of a service replaced: fault injection. */
export const hostWith = (faults: {
  readonly checkpoints?: (store: CheckpointStore["Service"]) => Partial<CheckpointStore["Service"]>
  readonly runs?: (store: RunStore["Service"]) => Partial<RunStore["Service"]>
}, engine = HeartbeatEngine.layer) =>
  engine.pipe(
    Layer.provideMerge(Layer.effectContext(Effect.map(MemoryStore.make(), ({ checkpoints, runs }) =>
      Context.make(CheckpointStore, { ...checkpoints, ...faults.checkpoints?.(checkpoints) }).pipe(
        Context.add(RunStore, { ...runs, ...faults.runs?.(runs) })
      ))))
  )

export interface CallOptions {
  readonly method?: string
  readonly token?: string | undefined
  readonly body?: BodyInit
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

export const requestOf = (path: string, options: CallOptions = {}): Request => {
  const { body, headers, method = body === undefined ? "GET" : "POST", signal, token } = options
  return new Request(`http://host.test${path}`, {
    method,
    headers: {
      ...(token === undefined ? undefined : { authorization: `Bearer ${token}` }),
      ...(typeof body === "string" ? { "content-type": "application/json" } : undefined),
      ...headers
    },
    ...(signal === undefined ? undefined : { signal }),
    ...(body === undefined ? undefined : { body, duplex: "half" })
  })
}

/** What came over the wire; the tests assert its shape. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Wire = any

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly json: Wire
}

export const read = async (response: Response): Promise<Answer> => {
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: text === "" ? undefined : JSON.parse(text)
  }
}

export type Call = (path: string, options?: CallOptions) => Effect.Effect<Answer>

export const callOf = (handler: HeartbeatHandler.HeartbeatHandler): Call => (path, options) =>
  Effect.promise(async () => read(await handler.fetch(requestOf(path, options))))

export const beat = (call: Call, options: CallOptions = {}, agent: string = "triage") =>
  call(`/api/agents/${agent}/heartbeat`, { method: "POST", token: secrets.triage, ...options })

/** A handler for the time of the test. */
export const acquire = (make: () => HeartbeatHandler.HeartbeatHandler) =>
  Effect.acquireRelease(Effect.sync(make), (handler) => Effect.promise(() => handler.dispose({ graceMs: 0 })))

/** A handler whose every agent has that heartbeat, on a layer of the test. */
export const serving = <E>(
  heartbeat: Heartbeat.Heartbeat<string, unknown, unknown, never>,
  layer: Layer.Layer<HeartbeatEngine.HeartbeatEngine | RunStore, E>
) =>
  Effect.gen(function*() {
    const verify = yield* auth
    const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats: () => heartbeat, auth: verify, layer }))
    return { handler, call: callOf(handler) }
  })

export const standard = Effect.gen(function*() {
  const verify = yield* auth
  const handler = yield* acquire(() => HeartbeatHandler.make({ heartbeats, auth: verify, layer: host }))
  return { handler, call: callOf(handler) }
})

/** Polls until the condition holds; the test's own limit ends a wait in vain. */
export const until = (condition: () => boolean | Promise<boolean>): Effect.Effect<void> =>
  Effect.promise(async () => condition()).pipe(
    Effect.tap((holds) => holds ? Effect.void : Effect.promise(() => new Promise((next) => setImmediate(next)))),
    Effect.repeat({ until: (holds) => holds }),
    Effect.asVoid
  )
