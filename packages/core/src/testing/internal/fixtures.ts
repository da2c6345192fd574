/** What the cases of the kits begin with, and how they look at the answers. */
import { assert } from "@effect/vitest"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as AgentName from "../../AgentName.ts"
import {
  type AgentRun,
  AgentRunJson,
  type Idempotency,
  metaOf,
  type RunInFlight,
  type RunMeta
} from "../../AgentRun.ts"
import {
  type BeginInput,
  type Begun,
  CheckpointStore,
  type Delta,
  type Page,
  type PageRequest,
  type Replayed,
  type Resumed
} from "../../CheckpointStore.ts"
import type { Lease } from "../../Lease.ts"
import * as RunId from "../../RunId.ts"
import { StoreTime } from "../Conformance.ts"

/** Long enough that no lease of this life expires during a case. */
export const longTtl = Duration.hours(1)

export const freshText = (prefix: string): string => `${prefix}-${uuidV7Unsafe()}`

export const freshAgent = Effect.sync(() => AgentName.make(freshText("agent")))

export const freshOwner = Effect.sync(() => freshText("owner"))

export const idempotency = (key: string, fingerprint = "payload"): Idempotency => ({ key, fingerprint })

/** What a case changes of the usual run. */
export interface Given extends Partial<Omit<BeginInput, "meta">> {
  readonly meta?: Partial<RunMeta> | undefined
}

export const inputOf = ({ meta, ...given }: Given = {}): Effect.Effect<BeginInput> =>
  Effect.sync(() => {
    const agentName = meta?.agentName ?? AgentName.make(freshText("agent"))
    return {
      owner: freshText("owner"),
      ttl: longTtl,
      maxAttempts: 3,
      exclusive: true,
      resumes: "same-name",
      ...given,
      meta: {
        runId: RunId.make(agentName),
        kind: "heartbeat",
        agentName,
        definition: { name: `definition of ${agentName}`, hash: "1" },
        ...meta
      }
    }
  })

export interface Started {
  readonly input: BeginInput
  readonly meta: RunMeta
  readonly runId: RunId.RunId
  readonly lease: Lease
}

export const asBegun = (answer: Begun | Resumed | Replayed): Begun => {
  assert(answer._tag === "Begun", `a fresh run was expected, the answer was ${answer._tag}`)
  return answer
}

export const asResumed = (answer: Begun | Resumed | Replayed): Resumed => {
  assert(answer._tag === "Resumed", `a run to continue was expected, the answer was ${answer._tag}`)
  return answer
}

export const asReplayed = (answer: Begun | Resumed | Replayed): Replayed => {
  assert(answer._tag === "Replayed", `a settled run was expected, the answer was ${answer._tag}`)
  return answer
}

/** A fresh run, held by a live owner. */
export const started = Effect.fnUntraced(function*(given: Given = {}) {
  const store = yield* CheckpointStore
  const input = yield* inputOf(given)
  const { lease } = asBegun(yield* store.begin(input))
  const started: Started = { input, meta: input.meta, runId: input.meta.runId, lease }
  return started
})

/** A run that its owner handed over: interrupted without waiting for an expiry. */
export const handedOver = Effect.fnUntraced(function*(given: Given = {}) {
  const store = yield* CheckpointStore
  const run = yield* started(given)
  yield* store.release(run.lease)
  return run
})

/** A run that has used up its only attempt. */
export const exhausted = (given: Given = {}) => handedOver({ ...given, maxAttempts: 1 })

/** A run whose owner went silent until the lease expired. */
export const expired = Effect.fnUntraced(function*(given: Given = {}) {
  const { shortTtl } = yield* StoreTime
  const run = yield* started({ ...given, ttl: shortTtl })
  yield* untilExpired
  return run
})

/** Lets pass what a lease of the short life needs to expire, and a bit. */
export const untilExpired = Effect.flatMap(StoreTime, ({ elapse, shortTtl }) => elapse(Duration.times(shortTtl, 1.25)))

/** Claims a run for a fresh owner. */
export const takeOver = Effect.fnUntraced(function*(runId: RunId.RunId) {
  const store = yield* CheckpointStore
  return yield* store.claim(runId, yield* freshOwner, longTtl)
})

/** Appends rows to a history that was never compacted. */
export const append = (position: number, rows: ReadonlyArray<string>, more: Partial<Delta> = {}): Delta => ({
  position,
  rows,
  segments: position + rows.length === 0 ? [] : [[0, position + rows.length]],
  ttl: longTtl,
  ...more
})

/** The record of a run that went well. */
export const recordOf = Effect.fnUntraced(function*({ input, lease }: Started, more: Partial<AgentRun> = {}) {
  const now = yield* DateTime.now
  const record: AgentRun = {
    ...input.meta,
    status: "ok",
    startedAt: now,
    finishedAt: now,
    summary: "1 step ok",
    warnings: [],
    errors: [],
    touchedIssueUrls: [],
    steps: [],
    attempts: [{ number: 1, owner: lease.owner, fence: lease.fence, startedAt: now, endedAt: now, end: "settled" }],
    ...(input.idempotency === undefined ? undefined : { idempotency: input.idempotency }),
    ...more
  }
  return record
})

/** A run that was begun and settled. */
export const settled = Effect.fnUntraced(function*(given: Given = {}, more: Partial<AgentRun> = {}) {
  const store = yield* CheckpointStore
  const run = yield* started(given)
  const record = yield* recordOf(run, more)
  yield* store.settle(run.lease, record)
  return { ...run, record }
})

/** Expects a failure with this tag and answers it. */
export const refused = <A, E extends { readonly _tag: string }, R, const Tag extends E["_tag"]>(
  effect: Effect.Effect<A, E, R>,
  tag: Tag
): Effect.Effect<Extract<E, { readonly _tag: Tag }>, never, R> =>
  Effect.map(Effect.result(effect), (result) => {
    if (Result.isSuccess(result)) return assert.fail(`${tag} was expected, but the store accepted`)
    assert.strictEqual(result.failure._tag, tag)
    return result.failure as Extract<E, { readonly _tag: Tag }>
  })

/** Tags of the answers, the failures among them included, in no particular order. */
export const tagsOf = <A, E extends { readonly _tag: string }>(
  results: ReadonlyArray<Result.Result<A, E>>,
  tag: (value: A) => string
): ReadonlyArray<string> =>
  results.map((result) => Result.isSuccess(result) ? tag(result.success) : result.failure._tag).toSorted()

/** Runs all at once and keeps every answer. */
export const race = <A, E, R>(
  effects: Iterable<Effect.Effect<A, E, R>>
): Effect.Effect<Array<Result.Result<A, E>>, never, R> =>
  Effect.forEach(effects, Effect.result, { concurrency: "unbounded" })

/** What somebody may ask for whom the types do not hold back: the id in capitals, and what is no id at all. */
export const noRunIds = (runId: RunId.RunId): ReadonlyArray<RunId.RunId> =>
  [runId.toUpperCase(), runId.slice(1), "", "\0", "\ud800"].map((text) => text as RunId.RunId)

/** Reads a list to its end. */
export const allPages = Effect.fnUntraced(function*<A, E, R>(
  list: (page: PageRequest) => Effect.Effect<Page<A>, E, R>,
  limit: number
) {
  const pages: Array<ReadonlyArray<A>> = []
  let cursor: string | undefined
  do {
    const page: Page<A> = yield* list(cursor === undefined ? { limit } : { limit, cursor })
    pages.push(page.items)
    cursor = page.next
    // A cursor that never ends must fail the case, not hang it.
    assert.isBelow(pages.length, 100, "the list does not end")
  } while (cursor !== undefined)
  return pages
})

export const idsOf = (runs: ReadonlyArray<AgentRun | RunInFlight>): Array<RunId.RunId> => runs.map((run) => run.runId)

const encodeRun = Schema.encodeSync(AgentRunJson)

/** Two records are the same when they encode to the same JSON, absent fields included. */
export const assertSameRun = (actual: AgentRun | RunInFlight, expected: AgentRun): void => {
  assert("finishedAt" in actual, "the run is still in flight")
  assert.deepStrictEqual(JSON.parse(JSON.stringify(encodeRun(actual))), JSON.parse(JSON.stringify(encodeRun(expected))))
}

/** Everything that the caller said about the run is there, and no other field. */
export const assertSameMeta = (actual: AgentRun | RunInFlight, expected: RunMeta): void => {
  assert.deepStrictEqual(metaOf(actual), expected)
}
