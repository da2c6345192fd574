/** The engine: validates, asks the store, and runs, joins or replays a pass. */
import * as Clock from "effect/Clock"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { type AgentName, isAgentName } from "../AgentName.ts"
import { type AgentRun, type Attempt, type Idempotency, isSettled, metaOf, type RunMeta } from "../AgentRun.ts"
import type { CheckpointStore, Resumed } from "../CheckpointStore.ts"
import type { Heartbeat, Pass, RunOptions } from "../Heartbeat.ts"
import type { HeartbeatEngine } from "../HeartbeatEngine.ts"
import type { Lease } from "../Lease.ts"
import { DefinitionChanged, EngineStopped, InvalidInput, PassCancelled, type StartError } from "../PassError.ts"
import * as RunId from "../RunId.ts"
import type { RunStore } from "../RunStore.ts"
import { type AgentBusy } from "../StoreError.ts"
import { ActivePass, type PassView } from "./activePass.ts"
import { boundCheckpoints, boundRuns } from "./boundedStore.ts"
import { type Definition, definitionOf } from "./definition.ts"
import { fingerprint } from "./fingerprint.ts"
import { LeaseKeeper } from "./leaseKeeper.ts"
import { decodeAll, type Ended } from "./outcome.ts"
import { runPass } from "./pass.ts"
import { fromRun } from "./passReport.ts"
import { Meters } from "./passTelemetry.ts"
import { Watch } from "./watch.ts"

/** What all passes of an engine share. */
export interface EngineState {
  readonly store: CheckpointStore["Service"]
  readonly runs: RunStore["Service"] | undefined
  readonly ttl: Duration.Duration
  readonly keeper: LeaseKeeper
  readonly clock: Clock.Clock
  readonly active: Map<RunId.RunId, ActivePass>
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
  readonly recorded: ReadonlyMap<string, Ended>
  readonly position: number
  readonly base: number
  /** How often the run was tried before, when it is to be given up. */
  readonly exhaustedAfter: number | undefined
  readonly origin: "executed" | "resumed"
  readonly meters: Meters
}

const keyPattern = /^[\x21-\x7e]{1,255}$/u

/** While joining a pass of another process: how often its end is asked for. */
const joinMillis = { first: 100, most: 2000 }

export const makeEngine = Effect.fnUntraced(function*(
  checkpoints: CheckpointStore["Service"],
  records: RunStore["Service"] | undefined,
  options: { readonly ttl: Duration.Duration; readonly storeMillis: number }
): Effect.fn.Return<HeartbeatEngine["Service"], never, Scope.Scope> {
  const owner = uuidV7Unsafe()
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  const { storeMillis, ttl } = options
  const watch = new Watch(clock, context)
  const store = boundCheckpoints(checkpoints, watch, storeMillis)
  const runs = records && boundRuns(records, watch, storeMillis)
  const active = new Map<RunId.RunId, ActivePass>()
  const background = new Set<() => void>()
  const meters = new WeakMap<Definition, Map<AgentName, Meters>>()
  let stopping = false

  const keeper = new LeaseKeeper({
    store,
    ttl,
    now: () => watch.now(),
    fork: (effect) => {
      const fiber = Effect.runForkWith(context)(effect)
      const stop = () => fiber.interruptUnsafe()
      background.add(stop)
      fiber.addObserver(() => background.delete(stop))
    }
  })
  const state: EngineState = { store, runs, ttl, keeper, clock, active }

  const metersOf = (definition: Definition, agentName: AgentName): Meters => {
    let byAgent = meters.get(definition)
    if (byAgent === undefined) meters.set(definition, byAgent = new Map())
    let found = byAgent.get(agentName)
    if (found === undefined) byAgent.set(agentName, found = new Meters(agentName, definition))
    return found
  }

  /** A pass whose end is known already. */
  const ended = (run: AgentRun, origin: "joined" | "replayed"): ActivePass => {
    const pass = new ActivePass(run.runId, origin)
    pass.end(
      run.status === "cancelled"
        ? Exit.fail(new PassCancelled({ runId: run.runId }))
        : Exit.succeed(fromRun(run, origin))
    )
    return pass
  }

  /** An interrupted pass that was handed to us: what to take over of it, as its policy says. */
  const takeOver = Effect.fnUntraced(function*(
    definition: Definition,
    resumed: Resumed
  ): Effect.fn.Return<Pick<Granted, "recorded" | "position" | "base">, StartError> {
    const { checkpoint } = resumed
    const { position } = checkpoint
    const same = checkpoint.definition.hash === definition.hash
    if (!same && definition.onDefinitionChange === "fail" && !resumed.exhausted) {
      return yield* new DefinitionChanged({ runId: checkpoint.runId, name: definition.name })
    }
    if (!same && definition.onDefinitionChange === "restart") return { recorded: new Map(), position, base: position }
    const recorded = yield* decodeAll(checkpoint)
    return { recorded, position, base: checkpoint.segments[0]?.[0] ?? position }
  })

  const begin = Effect.fnUntraced(function*(
    definition: Definition,
    meta: RunMeta,
    idempotency: Idempotency | undefined
  ): Effect.fn.Return<ActivePass, StartError> {
    if (stopping) return yield* new EngineStopped({})
    const askedAt = watch.now()
    const begun = yield* Effect.catchTag(
      store.begin({ meta, owner, ttl, maxAttempts: definition.maxAttempts, exclusive: true, idempotency }),
      "RunExists",
      Effect.die // run ids are made here, at random
    )
    if (begun._tag === "Replayed") return ended(begun.run, "replayed")
    const found = metersOf(definition, meta.agentName)
    const startedAt = DateTime.makeUnsafe(clock.currentTimeMillisUnsafe())
    if (begun._tag === "Begun") {
      const { fence } = begun.lease
      return yield* runPass(state, {
        definition,
        meta,
        lease: begun.lease,
        askedAt,
        attempts: [{ number: 1, owner, fence, startedAt }],
        idempotency,
        startedAt,
        recorded: none,
        position: 0,
        base: 0,
        exhaustedAfter: undefined,
        origin: "executed",
        meters: found
      })
    }
    const { checkpoint, exhausted, lease } = begun
    const taken = yield* takeOver(definition, begun).pipe(
      // What cannot be read cannot be continued, but it can be given up.
      Effect.catchTag(
        "CheckpointUnreadable",
        (error) =>
          exhausted ? Effect.succeed({ recorded: none, position: checkpoint.position, base: 0 }) : Effect.fail(error)
      ),
      Effect.tapError((error) => Effect.ignore(store.release(lease, error._tag)))
    )
    return yield* runPass(state, {
      definition,
      meta: metaOf(checkpoint),
      lease,
      askedAt,
      attempts: checkpoint.attempts,
      idempotency: begun.idempotency,
      startedAt: checkpoint.startedAt,
      ...taken,
      exhaustedAfter: exhausted ? checkpoint.attempts.length - 1 : undefined,
      origin: "resumed",
      meters: found
    })
  })

  /** Waits for a pass of another process, and takes it over when that process dies. */
  const join = (
    busy: AgentBusy,
    again: Effect.Effect<PassView, StartError>,
    millis: number = joinMillis.first
  ): Effect.Effect<PassView, StartError> => {
    const local = active.get(busy.runId)
    if (local !== undefined) return Effect.succeed(local.joined)
    if (runs === undefined) return Effect.fail(busy)
    return runs.get(busy.runId).pipe(
      Effect.catchTag("RunNotFound", () => Effect.undefined),
      Effect.flatMap((run) => {
        if (run !== undefined && isSettled(run)) return Effect.succeed(ended(run, "joined"))
        const next = run?.status === "running"
          ? join(busy, again, Math.min(millis * 2, joinMillis.most))
          : Effect.catchTag(again, "AgentBusy", (still) => join(still, again, Math.min(millis * 2, joinMillis.most)))
        return Effect.andThen(Effect.sleep(millis), next)
      })
    )
  }

  const start = <Name extends string, W, E, R>(
    heartbeat: Heartbeat<Name, W, E, R>,
    options: RunOptions
  ): Effect.Effect<Pass<W, E>, StartError, R> =>
    Effect.suspend((): Effect.Effect<PassView, StartError> => {
      const { agent, key, onBusy, payload, ...who } = options
      if (!isAgentName(agent)) return Effect.fail(badName(agent))
      if (key !== undefined && !keyPattern.test(key)) return Effect.fail(badKey)
      const definition = definitionOf(heartbeat)
      const attempt = (idempotency: Idempotency | undefined) => {
        const again = Effect.suspend(() =>
          // Uninterruptible: a lease that the store granted must not be lost between its answer and the pass.
          Effect.uninterruptible(begin(definition, {
            ...who,
            runId: RunId.make(agent),
            kind: "heartbeat",
            agentName: agent,
            definition: { name: definition.name, hash: definition.hash },
            ...(payload === undefined ? undefined : { payload })
          }, idempotency))
        )
        return onBusy === "join" ? Effect.catchTag(again, "AgentBusy", (busy) => join(busy, again)) : again
      }
      if (key === undefined) return attempt(undefined)
      return Effect.flatMap(fingerprint(payload), (fingerprint) => attempt({ key, fingerprint }))
    }) as Effect.Effect<Pass<W, E>, StartError, R> // the channels of the definition, erased since `Heartbeat.make`

  const drain = (grace: Duration.Input): Effect.Effect<void> =>
    Effect.suspend(() => {
      stopping = true
      const passes = [...active.values()]
      const all = Effect.forEach(passes, (pass) => Effect.exit(pass.report), {
        concurrency: "unbounded",
        discard: true
      })
      const interrupted = Effect.suspend(() =>
        Effect.forEach([...active.values()], (pass) => pass.interrupt, { concurrency: "unbounded", discard: true })
      )
      return Effect.andThen(Effect.timeoutOption(all, grace), interrupted)
    })

  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      drain(Duration.zero),
      Effect.sync(() => {
        for (const stop of [...background]) stop()
        watch.close()
      })
    )
  )
  return { owner, start, drain }
})

const none: ReadonlyMap<string, Ended> = new Map()

const badName = (agent: string): InvalidInput =>
  new InvalidInput({
    field: "agent",
    detail: `${
      JSON.stringify(agent.slice(0, 64))
    } is not 1 to 128 letters, digits, '.', '_' or '-', starting with a letter or a digit`
  })

const badKey = new InvalidInput({ field: "key", detail: "use 1 to 255 visible ASCII characters" })
