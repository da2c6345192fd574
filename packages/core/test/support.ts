import {
  CheckpointStore,
  Heartbeat,
  HeartbeatEngine,
  type Report,
  RunStore,
  type Step,
  StoreError
} from "@everbeat/core"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Layer, Logger, Schema } from "effect"

export class Bad extends Schema.TaggedError<Bad>()("Bad", { why: Schema.String }) {
  override get message() {
    return `It is ${this.why}`
  }
  get hint() {
    return "Repair it"
  }
  get url() {
    return "https://example.com/bad"
  }
}
export class Low extends Schema.TaggedError<Low>()("Low", { n: Schema.Int }) {}

export type AnyStep<R = never> = Step.Step<string, unknown, unknown, unknown, R>

export const statuses = (report: Report.AnyReport): ReadonlyArray<string> =>
  report.steps.map((step) => `${step.name}:${step.status}`)

export const codes = (report: Report.AnyReport) => ({
  warnings: report.warnings.map((warning) => `${warning.step ?? "-"}:${warning.code}`),
  errors: report.errors.map((error) => `${error.step ?? "-"}:${error.code}`)
})

/** An engine on a fresh memory store. */
export const layer = Layer.provideMerge(HeartbeatEngine.layer, MemoryStore.layer)

/** So many repetitions, or more where somebody wants to look closer: `EVERBEAT_TEST_SCALE=10 npm test`. */
export const scaled = (count: number): number =>
  Math.ceil(count * Math.max(1, Number(process.env["EVERBEAT_TEST_SCALE"] ?? 1)))

/** For tests on the live clock, whose logs would be printed. */
export const quiet = Logger.layer([])

/** Runs steps as the heartbeat of the agent `triage`. What they need of each other is checked at run time here. */
export const pass = (steps: ReadonlyArray<Step.Any>, options?: Heartbeat.Options) =>
  Heartbeat.run(Heartbeat.make("t", steps as ReadonlyArray<AnyStep>, options), { agent: "triage" })

export type Operation = keyof CheckpointStore.CheckpointStore["Service"]

/** What stands between an engine and its store in a test: a log of statements, and faults. */
export class Wire {
  readonly log: Array<Operation> = []
  /** Called before each statement reaches the store. */
  before: (operation: Operation, count: number) => Effect.Effect<void, StoreError.StoreError> = () => Effect.void
  /** Called after each statement was executed, before its answer reaches the engine. */
  after: (operation: Operation, count: number) => Effect.Effect<void, StoreError.StoreError> = () => Effect.void

  wrap(store: CheckpointStore.CheckpointStore["Service"]): CheckpointStore.CheckpointStore["Service"] {
    const through = <A, E>(operation: Operation, effect: Effect.Effect<A, E>) =>
      Effect.suspend(() => {
        const count = this.log.push(operation)
        return Effect.andThen(
          this.before(operation, count),
          Effect.tap(effect, () => this.after(operation, count))
        )
      })
    return {
      ...store,
      begin: (input) => through("begin", store.begin(input)),
      save: (lease, delta) => through("save", store.save(lease, delta)),
      settle: (lease, run) => through("settle", store.settle(lease, run)),
      release: (...input) => through("release", store.release(...input)),
      renew: (leases, ttl) => through("renew", store.renew(leases, ttl)),
      claim: (...input) => through("claim", store.claim(...input)),
      claimNext: (...input) => through("claimNext", store.claimNext(...input)),
      load: (runId) => through("load", store.load(runId)),
      listInterrupted: (...input) => through("listInterrupted", store.listInterrupted(...input))
    }
  }
}

export const unavailable = (operation: string) =>
  new StoreError.StoreError({ operation, reason: "unavailable", detail: "connection refused" })

/** An engine of its own, as another process would have one, on the stores in the context. */
export const engineOver = (wire: Wire = new Wire()) =>
  Effect.gen(function*() {
    const store = yield* CheckpointStore.CheckpointStore
    return yield* HeartbeatEngine.make().pipe(
      Effect.provideService(CheckpointStore.CheckpointStore, wire.wrap(store))
    )
  })

export const withEngine = (engine: HeartbeatEngine.HeartbeatEngine["Service"]) =>
  Effect.provideService(HeartbeatEngine.HeartbeatEngine, engine)

export const stores = MemoryStore.layer

/** Everything that the store knows of an agent. */
export const runsOf = (agentName: string) =>
  Effect.gen(function*() {
    const runs = yield* RunStore.RunStore
    const page = yield* runs.list()
    return page.items.filter((run) => run.agentName === agentName)
  })
