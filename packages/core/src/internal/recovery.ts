/** Claims interrupted runs on a poll and hands each to whoever runs its kind. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as Agent from "../Agent.ts"
import { type ResumeError, RunAlreadySettled, UnknownDefinition } from "../AgentError.ts"
import { isSettled, type RunInFlight, type RunMeta } from "../AgentRun.ts"
import type { AgentSupervisor } from "../AgentSupervisor.ts"
import type { Granted } from "../Checkpointer.ts"
import type { CheckpointStore, Resumed } from "../CheckpointStore.ts"
import type * as Heartbeat from "../Heartbeat.ts"
import { HeartbeatEngine } from "../HeartbeatEngine.ts"
import type { AdoptError } from "../PassError.ts"
import type { Recovery, RecoveryReport } from "../Recovery.ts"
import type { RunId } from "../RunId.ts"
import type { RunStore } from "../RunStore.ts"
import { Workspace } from "../Workspace.ts"
import { definitionOf as agentDefinitionOf, erased } from "./agent/definition.ts"
import { definitionOf } from "./definition.ts"
import { sweepWorkspaces } from "./workspaceSweep.ts"

export interface Settings {
  readonly agents: ReadonlyArray<Agent.Any>
  readonly heartbeats: ReadonlyArray<Heartbeat.Any>
  readonly concurrency: number
  readonly pollMillis: number
  readonly maxPollMillis: number
  readonly reportMillis: number
  readonly sweepMillis: number
  readonly folders: ReadonlyArray<string>
}

/** Interrupted runs that a report looks at. */
const reported = 1000

type Over = Effect.Effect<void>

const byName = <A extends { readonly name: string }>(all: ReadonlyArray<A>, what: string): ReadonlyMap<string, A> => {
  const map = new Map(all.map((one) => [one.name, one]))
  if (map.size < all.length) throw new TypeError(`Recovery: two ${what} have the same name`)
  return map
}

export const makeRecovery = Effect.fnUntraced(function*(
  supervisor: AgentSupervisor["Service"],
  store: CheckpointStore["Service"],
  runs: RunStore["Service"],
  settings: Settings
): Effect.fn.Return<Recovery["Service"], never, Scope.Scope> {
  const { concurrency, maxPollMillis, pollMillis, reportMillis } = settings
  const agents = byName(settings.agents.map(erased), "agents")
  const heartbeats = byName(settings.heartbeats, "heartbeats")
  // Refused before a run is claimed: a claim is an attempt.
  for (const agent of settings.agents) agentDefinitionOf(erased(agent))
  for (const heartbeat of settings.heartbeats) definitionOf(heartbeat)
  const engine = Option.getOrUndefined(yield* Effect.serviceOption(HeartbeatEngine))
  // The services that the definitions need are in here: the type of the layer asks for them.
  const context = (yield* Effect.context<never>()) as Context.Context<unknown>
  const freed = yield* Queue.dropping<void>(1)
  /** Runs that were claimed here and could not be continued. */
  const refused = new Set<RunId>()
  let running = 0

  const knows = ({ definition: { name }, kind }: RunMeta): boolean => (kind === "agent" ? agents : heartbeats).has(name)

  /** Continues what was claimed; answers how to wait for its end here, or nothing when there is nothing to continue. */
  const hand = (
    granted: Granted<Resumed>,
    options?: Agent.ResumeOptions
  ): Effect.Effect<Over | undefined, AdoptError | ResumeError | UnknownDefinition> =>
    Effect.gen(function*() {
      const { checkpoint: { definition, kind }, lease } = granted.answer
      const agent = kind === "agent" ? agents.get(definition.name) : undefined
      if (agent !== undefined) {
        const { record } = yield* supervisor.adopt(agent, granted, options)
        return Effect.ignore(record)
      }
      const heartbeat = kind === "heartbeat" ? heartbeats.get(definition.name) : undefined
      if (heartbeat !== undefined && engine !== undefined) {
        const pass = yield* engine.adopt(heartbeat, granted)
        return pass && Effect.ignore(pass.report)
      }
      yield* Effect.ignore(store.release(lease, "unknown definition", { unstarted: true }))
      return yield* new UnknownDefinition({ runId: lease.runId, name: definition.name })
    }).pipe(Effect.provideContext(context))

  const take = (granted: Granted<Resumed>): Effect.Effect<number> =>
    Effect.matchCauseEffect(hand(granted), {
      // One that cannot be read here was given back, and holds up nobody.
      onFailure: (cause) =>
        Effect.suspend(() => {
          const { runId } = granted.answer.lease
          // It is given back at every poll: said once is enough.
          const known = refused.has(runId)
          refused.add(runId)
          return known
            ? Effect.succeed(0)
            : Effect.as(Effect.logWarning("An interrupted run could not be continued", cause), 0)
        }),
      onSuccess: (over) =>
        Effect.sync(() => {
          refused.delete(granted.answer.lease.runId)
          if (over === undefined) return 1
          running++
          Effect.runForkWith(context)(over).addObserver(() => {
            running--
            Queue.offerUnsafe(freed, undefined)
          })
          return 1
        })
    })

  const claimed = (kind: RunMeta["kind"], names: ReadonlyArray<string>) =>
    Effect.suspend(() => {
      const limit = concurrency - running
      if (limit <= 0 || names.length === 0) return Effect.succeed(0)
      // Between the claim and its continuation nobody may interrupt: the leases would be lost for a while.
      return Effect.uninterruptible(
        supervisor.claimNext(limit, { kind, definitions: names, roots: true }).pipe(
          Effect.flatMap((granted) => Effect.forEach(granted, take)),
          Effect.map((counts) => counts.reduce((sum, count) => sum + count, 0)),
          // Damaged ones alone were left to claim. The other kind has its turn all the same.
          Effect.catchIf(
            ({ reason }) => reason === "corrupt",
            (error) => Effect.as(Effect.logWarning("An interrupted run could not be claimed", error), 0)
          )
        )
      )
    })

  /** One at a time: what one claims, the next one must count. */
  const sweep = Semaphore.makeUnsafe(1).withPermit(Effect.gen(function*() {
    const a = yield* claimed("agent", [...agents.keys()])
    const h = engine === undefined ? 0 : yield* claimed("heartbeat", [...heartbeats.keys()])
    return a + h
  }))

  const poll = Effect.gen(function*() {
    let pause = pollMillis
    while (true) {
      const found = yield* Effect.catchCause(
        sweep,
        (cause) => Effect.as(Effect.logWarning("Interrupted runs could not be looked for", cause), -1)
      )
      pause = found > 0 ? pollMillis : found < 0 ? maxPollMillis : Math.min(maxPollMillis, pause * 2)
      yield* Effect.sleep(pause)
      // With all hands full nothing can be claimed: the next one that is free goes on.
      if (running >= concurrency) yield* Queue.take(freed)
    }
  })

  const isOrphan = (known: Map<RunId, boolean>, run: RunInFlight) =>
    Effect.gen(function*() {
      const { parentRunId } = run
      if (parentRunId === undefined) return false
      let gone = known.get(parentRunId)
      if (gone === undefined) {
        gone = yield* Effect.map(runs.get(parentRunId), isSettled).pipe(
          Effect.catchTag("RunNotFound", () => Effect.succeed(true))
        )
        known.set(parentRunId, gone)
      }
      return gone
    })

  const report = Effect.gen(function*() {
    const parents = new Map<RunId, boolean>()
    const unknown: Array<RunInFlight> = []
    const orphans: Array<RunInFlight> = []
    const unreadable: Array<RunInFlight> = []
    const exhausted: Array<RunInFlight> = []
    const seen = new Set<RunId>()
    let looked = 0
    let cursor: string | undefined
    do {
      const page = yield* store.listInterrupted({}, { cursor, limit: 200 })
      for (const run of page.items) {
        seen.add(run.runId)
        if (run.status === "exhausted") exhausted.push(run)
        else if (!knows(run)) unknown.push(run)
        else if (yield* isOrphan(parents, run)) orphans.push(run)
        else if (refused.has(run.runId)) unreadable.push(run)
      }
      looked += page.items.length
      cursor = page.next
    } while (cursor !== undefined && looked < reported)
    // Somebody else continued or settled them. A list that was cut short says nothing of the others.
    if (cursor === undefined) { for (const runId of refused) if (!seen.has(runId)) refused.delete(runId) }
    return { unknown, orphans, unreadable, exhausted } satisfies RecoveryReport
  })

  const watch = Effect.gen(function*() {
    let before = ""
    while (true) {
      yield* Effect.sleep(reportMillis)
      const found = yield* Effect.exit(report)
      if (Exit.isFailure(found)) continue
      const { exhausted, orphans, unknown, unreadable } = found.value
      // Nobody runs them, so nobody else learns that somebody wants their end.
      const unwanted = [...unknown, ...orphans, ...exhausted].filter((run) => run.cancelRequested)
      yield* Effect.forEach(unwanted, ({ runId }) => Effect.ignore(supervisor.cancel(runId)), { discard: true })
      const said = [...unknown, ...orphans, ...unreadable, ...exhausted].map(({ runId }) => runId).join(" ")
      if (said !== "" && said !== before) {
        yield* Effect.logWarning("Interrupted runs are left alone").pipe(Effect.annotateLogs({
          "everbeat.unknown": names(unknown),
          "everbeat.orphans": names(orphans),
          "everbeat.unreadable": names(unreadable),
          "everbeat.exhausted": names(exhausted)
        }))
      }
      before = said
    }
  })

  const resume = (runId: RunId, options?: Agent.ResumeOptions) =>
    Effect.uninterruptible(Effect.gen(function*() {
      const state = yield* runs.get(runId)
      if (isSettled(state)) return yield* new RunAlreadySettled({ runId, status: state.status })
      // Looked at first: a claim is an attempt.
      if (!knows(state)) return yield* new UnknownDefinition({ runId, name: state.definition.name })
      const agent = state.kind === "agent" ? agents.get(state.definition.name) : undefined
      if (agent === undefined) yield* hand(yield* supervisor.claim(runId), options)
      else yield* Effect.provideContext(supervisor.resume(agent, runId, options), context)
    }))

  yield* Effect.forkScoped(poll)
  yield* Effect.forkScoped(watch)
  const workspace = yield* Effect.serviceOption(Workspace)
  if (Option.isSome(workspace)) {
    const tidy = sweepWorkspaces(workspace.value, store, settings.folders)
    // Not at once: a host that starts has other things to do.
    yield* Effect.forkScoped(
      Effect.andThen(Effect.sleep("1 minute"), Effect.forever(Effect.andThen(tidy, Effect.sleep(settings.sweepMillis))))
    )
  }
  return { sweep, resume, report }
})

const names = (all: ReadonlyArray<RunInFlight>): string =>
  all.slice(0, 10).map(({ definition, runId }) => `${definition.name} ${runId}`).join(", ") +
  (all.length > 10 ? ` and ${all.length - 10} more` : "")
