/** The engine: validates, asks the store, and runs, joins or replays a pass. */
import type * as Clock from "effect/Clock"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type AgentName, isAgentName } from "../AgentName.ts"
import { type AgentRun, type Attempt, type Idempotency, metaOf, type RunMeta } from "../AgentRun.ts"
import type { Granted as GrantedRun } from "../Checkpointer.ts"
import type { CheckpointStore, Resumed } from "../CheckpointStore.ts"
import type { Heartbeat, Pass, RunOptions } from "../Heartbeat.ts"
import type { HeartbeatEngine } from "../HeartbeatEngine.ts"
import type { Lease } from "../Lease.ts"
import { type AdoptError, DefinitionChanged, EngineStopped, PassCancelled, type StartError } from "../PassError.ts"
import type { Report } from "../Report.ts"
import * as RunId from "../RunId.ts"
import type { RunStore } from "../RunStore.ts"
import { ActivePass, type PassView } from "./activePass.ts"
import { begunBefore } from "./begunBefore.ts"
import { type BeginSave, beginSaves, boundCheckpoints, boundRuns } from "./boundedStore.ts"
import { warnOfSecondEffect } from "./copies.ts"
import { type Definition, definitionOf } from "./definition.ts"
import { canonicalPayload, fingerprint } from "./fingerprint.ts"
import type { HoldTimes } from "./holdTimes.ts"
import { badKey, badName, keyPattern } from "./input.ts"
import { makeJoin } from "./join.ts"
import type { LeaseHolding } from "./leaseKeeper.ts"
import { runPass } from "./pass.ts"
import { fromRun, toRun } from "./passReport.ts"
import type { Restored } from "./passRunner.ts"
import { Meters } from "./passTelemetry.ts"
import { endOf } from "./recordEnd.ts"
import { joinKeeper } from "./sharedKeeper.ts"
import { takeOver } from "./takeOver.ts"
import type { Watch } from "./watch.ts"

/** What all passes of an engine share. */
export interface EngineState {
  readonly store: CheckpointStore["Service"]
  readonly runs: RunStore["Service"] | undefined
  readonly beginSave: BeginSave
  readonly ttl: Duration.Duration
  readonly keeper: LeaseHolding
  readonly clock: Clock.Clock
  readonly watch: Watch
  readonly active: Map<RunId.RunId, ActivePass>
  /** Tells who watches of a pass that was recorded. */
  readonly onSettled: (run: AgentRun) => void
}

/** A pass that the store granted to this engine. */
export interface Granted {
  readonly definition: Definition
  readonly meta: RunMeta
  readonly lease: Lease
  readonly askedAt: number
  readonly attempts: ReadonlyArray<Attempt>
  readonly idempotency: Idempotency | undefined
  readonly startedAt: DateTime.Utc
  readonly recorded: Restored
  /** The next free row. */
  readonly position: number
  /** How often the run was tried before, when it is to be given up. */
  readonly exhaustedAfter: number | undefined
  readonly origin: "executed" | "resumed"
  readonly meters: Meters
}

const nothing: Restored = { outcomes: new Map(), results: new Map() }

export const makeEngine = Effect.fnUntraced(function*(
  checkpoints: CheckpointStore["Service"],
  records: RunStore["Service"] | undefined,
  { storeMillis, ttl }: HoldTimes
): Effect.fn.Return<HeartbeatEngine["Service"], never, Scope.Scope> {
  yield* warnOfSecondEffect
  const owner = uuidV7Unsafe()
  const { clock, keeper, watch } = yield* joinKeeper(checkpoints, ttl)
  const store = boundCheckpoints(checkpoints, watch, storeMillis)
  const runs = records && boundRuns(records, watch, storeMillis)
  const active = new Map<RunId.RunId, ActivePass>()
  const meters = new WeakMap<Definition, Map<AgentName, Meters>>()
  /** Calls that wait for the store's answer to `begin`, and who waits for all of them. */
  let beginning = 0
  const begun = new Set<() => void>()
  let stopping = false

  const settledRuns = yield* PubSub.sliding<AgentRun | "drained">(1024)
  let drained = false
  const onSettled = (run: AgentRun): void => {
    PubSub.publishUnsafe(settledRuns, run)
  }
  const state: EngineState = {
    store,
    runs,
    beginSave: beginSaves(checkpoints, watch, storeMillis),
    ttl,
    keeper: keeper.within(storeMillis),
    clock,
    watch,
    active,
    onSettled
  }

  const metersOf = (definition: Definition, agentName: AgentName): Meters => {
    let byAgent = meters.get(definition)
    if (byAgent === undefined) meters.set(definition, byAgent = new Map())
    let found = byAgent.get(agentName)
    if (found === undefined) byAgent.set(agentName, found = new Meters(agentName, definition))
    return found
  }

  const begin = Effect.fnUntraced(function*(
    definition: Definition,
    meta: RunMeta,
    idempotency: Idempotency | undefined
  ): Effect.fn.Return<ActivePass, StartError> {
    if (stopping) return yield* new EngineStopped({})
    const askedAt = watch.now()
    const answer = yield* store.begin({
      meta,
      owner,
      ttl,
      maxAttempts: definition.maxAttempts,
      exclusive: true,
      idempotency,
      resumes: definition.onDefinitionChange === "fail" ? "same-hash" : "same-name"
    }).pipe(Effect.catchTags({
      RunExists: begunBefore, // run ids are made here, at random
      OtherDefinition: ({ name, runId }) => Effect.fail(new DefinitionChanged({ runId, name }))
    }))
    if (answer._tag === "Replayed") return settledPass(answer.run, "replayed")
    if (stopping) { // meanwhile: what was granted is handed on
      yield* Effect.ignore(store.release(answer.lease, "shutdown", { unstarted: true }))
      return yield* new EngineStopped({})
    }
    if (answer._tag === "Begun") {
      const startedAt = watch.at()
      const { fence } = answer.lease
      return yield* runPass(state, {
        definition,
        meta,
        lease: answer.lease,
        askedAt,
        attempts: [{ number: 1, owner, fence, startedAt }],
        idempotency,
        startedAt,
        recorded: nothing,
        position: 0,
        exhaustedAfter: undefined,
        origin: "executed",
        meters: metersOf(definition, meta.agentName)
      })
    }
    if (!answer.checkpoint.cancelRequested) return yield* resumePass(definition, answer, askedAt)
    yield* closeCancelled(answer)
    if (idempotency !== undefined && idempotency.key === answer.idempotency?.key) {
      return cancelledPass(answer.lease.runId)
    }
    return yield* begin(definition, meta, idempotency)
  })

  /** Continues a pass whose lease was granted. Whatever goes wrong before it runs: the lease must not stay with us. */
  const resumePass = (
    definition: Definition,
    { checkpoint, exhausted, idempotency, lease }: Resumed,
    askedAt: number
  ) =>
    Effect.gen(function*() {
      // What this version cannot read it does not give up either: it stays for one that can.
      const recorded = yield* takeOver(definition, checkpoint, exhausted)
      return yield* runPass(state, {
        definition,
        meta: metaOf(checkpoint),
        lease,
        askedAt,
        attempts: checkpoint.attempts,
        idempotency,
        startedAt: checkpoint.startedAt,
        recorded,
        position: checkpoint.position,
        exhaustedAfter: exhausted ? checkpoint.attempts.length - 1 : undefined,
        origin: "resumed",
        meters: metersOf(definition, checkpoint.agentName)
      })
    }).pipe(
      Effect.onError(() => Effect.ignore(store.release(lease, "not continued", { unstarted: true })))
    )

  /** Somebody cancelled an interrupted pass: it is recorded as that, without running anything. */
  const closeCancelled = ({ checkpoint, idempotency, lease }: Resumed) => {
    const { agentName, attempts, runId, startedAt } = checkpoint
    const report = {
      runId,
      agentName,
      status: "ok",
      startedAt,
      finishedAt: endOf(watch.at(), startedAt, attempts),
      summary: "cancelled while it was interrupted",
      warnings: [],
      errors: [],
      touchedIssueUrls: [],
      steps: [],
      origin: "resumed",
      recorded: true
    } as const
    const run = toRun(report, "cancelled", metaOf(checkpoint), attempts, idempotency)
    return store.settle(lease, run).pipe(
      Effect.tap(() => Effect.sync(() => onSettled(run))),
      Effect.catchTags({ Fenced: () => Effect.void, Gone: () => Effect.void }) // somebody else closed it
    )
  }

  /** Uninterruptible: a lease that the store granted must not be lost between its answer and the pass. */
  const beginSafely = (definition: Definition, meta: RunMeta, idempotency: Idempotency | undefined) =>
    Effect.uninterruptible(Effect.suspend(() => {
      beginning++
      return Effect.ensuring(
        begin(definition, meta, idempotency),
        Effect.sync(() => {
          if (--beginning > 0) return
          for (const resume of begun) resume()
          begun.clear()
        })
      )
    }))

  const joinOrBegin = makeJoin({ active, runs, settledPass })

  const prepare = Effect.fnUntraced(function*(
    heartbeat: Heartbeat<string, unknown, unknown, unknown>,
    { agent, key, onBusy, payload, ...who }: RunOptions,
    onBegun: (pass: ActivePass) => void
  ): Effect.fn.Return<PassView, StartError> {
    if (!isAgentName(agent)) return yield* badName(agent)
    if (key !== undefined && !keyPattern.test(key)) return yield* badKey
    const definition = definitionOf(heartbeat)
    const canonical = payload === undefined ? undefined : yield* canonicalPayload(payload)
    const idempotency = key === undefined
      ? undefined
      : { key, fingerprint: `${definition.name}:${yield* fingerprint(canonical)}` }
    const again = Effect.suspend(() => {
      const { name, hash } = definition
      const meta = { ...who, payload, runId: RunId.make(agent), kind: "heartbeat", agentName: agent } as const
      return beginSafely(definition, metaOf({ ...meta, definition: { name, hash } } as RunMeta), idempotency)
    }).pipe(Effect.tap((pass) => Effect.sync(() => onBegun(pass))))
    return yield* onBusy === "join" ? joinOrBegin(again, definition.name, key !== undefined) : again
  })

  const start = <Name extends string, W, E, R>(
    heartbeat: Heartbeat<Name, W, E, R>,
    options: RunOptions
  ): Effect.Effect<Pass<W, E>, StartError, R> =>
    // The channels of the definition, erased since `Heartbeat.make`.
    prepare(heartbeat, options, () => {}) as Effect.Effect<Pass<W, E>, StartError, R>

  const run = <Name extends string, W, E, R>(heartbeat: Heartbeat<Name, W, E, R>, options: RunOptions) =>
    Effect.suspend(() => {
      let mine: ActivePass | undefined
      const report = Effect.flatMap(
        prepare(heartbeat, options, (pass) => {
          mine = pass
        }),
        (pass) => pass.report
      )
      return Effect.onInterrupt(report, () => mine === undefined ? Effect.void : mine.interrupt) as Effect.Effect<
        Report<W, E>,
        Effect.Error<typeof report>,
        R
      >
    })

  const adopt = <Name extends string, W, E, R>(
    heartbeat: Heartbeat<Name, W, E, R>,
    { answer, askedAt }: GrantedRun<Resumed>
  ): Effect.Effect<Pass<W, E> | undefined, AdoptError, R> =>
    Effect.uninterruptible(Effect.gen(function*() {
      const { checkpoint, lease } = answer
      const definition = definitionOf(heartbeat)
      const { hash, name } = checkpoint.definition
      const other = checkpoint.kind !== "heartbeat" || name !== definition.name ||
        (definition.onDefinitionChange === "fail" && hash !== definition.hash)
      if (checkpoint.cancelRequested) return yield* Effect.asVoid(closeCancelled(answer))
      if (stopping || other) {
        yield* Effect.ignore(store.release(lease, "not continued", { unstarted: true }))
        return yield* stopping ? new EngineStopped({}) : new DefinitionChanged({ runId: lease.runId, name })
      }
      return yield* resumePass(definition, answer, askedAt)
    })) as Effect.Effect<Pass<W, E> | undefined, AdoptError, R> // the channels of the definition, as in `start`

  const drain = (grace: Duration.Input): Effect.Effect<void> =>
    Effect.suspend(() => {
      stopping = true
      const answered = Effect.callback<void>((resume) => {
        if (beginning === 0) resume(Effect.void)
        else begun.add(() => resume(Effect.void))
      })
      const all = Effect.suspend(() =>
        Effect.forEach([...active.values()], (pass) => Effect.exit(pass.report), {
          concurrency: "unbounded",
          discard: true
        })
      )
      const interrupted = Effect.suspend(() =>
        Effect.forEach([...active.values()], (pass) => pass.interrupt, { concurrency: "unbounded", discard: true })
      )
      // The answers to `begin` come within the store's time limit, also when the grace is over.
      return Effect.timeoutOption(Effect.andThen(answered, all), grace).pipe(
        Effect.andThen(interrupted),
        Effect.andThen(answered),
        Effect.andThen(Effect.sync(() => {
          drained = true
          PubSub.publishUnsafe(settledRuns, "drained")
        }))
      )
    })

  const settled = Stream.suspend(() =>
    drained
      ? Stream.empty
      : Stream.fromPubSub(settledRuns).pipe(
        Stream.takeWhile((run): run is AgentRun => run !== "drained")
      )
  )

  yield* Effect.addFinalizer(() => drain(Duration.zero))
  const cancel = (runId: RunId.RunId): Effect.Effect<boolean> =>
    Effect.sync(() => {
      const pass = active.get(runId)
      pass?.cancel()
      return pass !== undefined
    })

  return { owner, start, run, adopt, cancel, settled, drain }
})

const cancelledPass = (runId: RunId.RunId): ActivePass => {
  const pass = new ActivePass(runId, "replayed", undefined)
  pass.end(Exit.fail(new PassCancelled({ runId })))
  return pass
}

/** A pass whose end is known already. */
const settledPass = (run: AgentRun, origin: "joined" | "replayed"): ActivePass => {
  if (run.status === "cancelled") return cancelledPass(run.runId)
  const pass = new ActivePass(run.runId, origin, run.definition.name)
  pass.end(Exit.succeed(fromRun(run, origin)))
  return pass
}
