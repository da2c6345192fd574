/** What the numbers mean that `npm run bench` reports, and which of them are promised. */
import type { Limit } from "./numbers.ts"

interface Ratio {
  readonly means: string
  readonly better: "higher" | "lower"
  readonly target?: Pick<Limit, "operator" | "limit">
}

const atLeast = (limit: number) => ({ operator: ">=", limit }) as const
const atMost = (limit: number) => ({ operator: "<=", limit }) as const

export const ratios: Readonly<Record<string, Ratio>> = {
  saveVsLangGraphAt1000: {
    means: "time of a save at turn 1,000 of LangGraph's PostgresSaver, divided by that of ours on Postgres",
    better: "higher",
    target: atLeast(40)
  },
  saveVsLangGraphDeltasAt1000: {
    means: "the same with LangGraph's DeltaChannel (beta), which stores what is new and all of it each 100 turns",
    better: "higher"
  },
  saveVsOneRowAt1000: {
    means: "time of a save at turn 1,000 into one row of JSONB, divided by that of ours on Postgres",
    better: "higher"
  },
  memorySaveVsLangGraphAt1000: {
    means: "time of a save at turn 1,000 of LangGraph's MemorySaver, divided by that of ours in memory",
    better: "higher"
  },
  saveVsFloor: {
    means: "time of our save on Postgres, divided by that of an INSERT of the same rows",
    better: "lower",
    target: atMost(2)
  },
  redisSaveVsFloor: {
    means: "time of our save on Redis, divided by that of a script which appends the same bytes",
    better: "lower",
    target: atMost(1.5)
  },
  saveSlope: {
    means: "time of our save on Postgres at turn 1,000, divided by that at turn 100",
    better: "lower",
    target: atMost(1.3)
  },
  redisSaveSlope: {
    means: "time of our save on Redis at turn 1,000, divided by that at turn 100",
    better: "lower",
    target: atMost(1.3)
  },
  loadVsLangGraphAt1000: {
    means: "time in which LangGraph reads 2,000 messages, divided by that of ours on Postgres",
    better: "higher"
  },
  loadVsLangGraphDeltasAt1000: {
    means: "the same with LangGraph's DeltaChannel (beta), 40 turns after it was stored as a whole",
    better: "higher"
  },
  listMillisOf10000: {
    means: "milliseconds for the first 50 of 10,000 interrupted runs on Postgres",
    better: "lower"
  },
  listVsLangGraph: {
    means: "time in which LangGraph lists 50 of 500 runs of 100 messages, divided by that of ours on Postgres",
    better: "higher"
  },
  passesVsDbos: {
    means: "our passes per second, divided by workflows of DBOS, 50 at once, every step sync",
    better: "higher",
    target: atLeast(10)
  },
  passesVsEffectCluster: {
    means: "our passes per second, divided by workflows of Effect's ClusterWorkflowEngine, 50 at once, every step sync",
    better: "higher"
  },
  passesVsEffectClusterInMemory: {
    means: "the same, when its runner keeps its state in memory and nobody else can take over",
    better: "higher"
  },
  passesVsOpenWorkflow: {
    means: "our passes per second, divided by workflows of OpenWorkflow, 50 at once, every step sync",
    better: "higher"
  },
  passesAloneVsDbos: { means: "the same beside DBOS, one after the other", better: "higher" },
  passesAloneVsEffectCluster: { means: "the same beside Effect, one after the other", better: "higher" },
  passesFarVsDbos: { means: "the same beside DBOS, 50 at once, with the database 2 ms away", better: "higher" },
  passesFarAloneVsDbos: {
    means: "the same beside DBOS, one after the other, with the database 2 ms away",
    better: "higher"
  },
  statementsPerPass: {
    means: "statements of a pass of five steps, every step sync, one pass after the other",
    better: "lower",
    target: atMost(6)
  },
  statementsPerPassOf50: {
    means: "the same with 50 agents at once",
    better: "lower",
    target: { operator: "<", limit: 1 }
  },
  flushesPerPassOf50: { means: "flushes of the log for a pass, 50 agents at once, every step sync", better: "lower" },
  recoverySeconds: {
    means: "seconds from kill -9 until another process continues, of which the lease takes recoveryLeaseSeconds",
    better: "lower"
  },
  recoveryLeaseSeconds: { means: "seconds that a lease lives without renewal in that measurement", better: "lower" },
  handoverSeconds: { means: "seconds from SIGTERM until another process continues", better: "lower" },
  idleStatementsPerSecond: {
    means: "statements per second of a process that has nothing to do",
    better: "lower",
    target: atMost(0.5)
  },
  idleVsDbos: { means: "idle statements per second of DBOS, divided by ours", better: "higher" },
  snapshotVsGitStatus: {
    means:
      "time of the next snapshot of 20 changed files of 10,000, less 15 ms for the processes, divided by git status",
    better: "lower",
    target: atMost(2.5)
  },
  snapshotVsStash: { means: "time of that snapshot, divided by git stash create", better: "lower" },
  snapshotVsShadow: {
    means: "time of that snapshot, divided by add and commit in a shadow repository",
    better: "lower"
  },
  httpVsBare: {
    means: "time of a heartbeat over HTTP, 16 agents, divided by a bare node:http handler with the same answer",
    better: "lower"
  },
  httpVsPasses: { means: "the same, divided by the passes alone", better: "lower" },
  stepsPerSecondMemory: {
    means: "steps per second of passes of ten steps in the memory store, the slowest kind of synchronous steps",
    better: "higher",
    target: atLeast(100_000)
  },
  stepVsTimeout: {
    means: "time of a synchronous step, divided by Effect.exit(Effect.timeout(step)) (worst kind)",
    better: "lower",
    target: atMost(3)
  },
  asyncStepVsTimeout: { means: "the same for an asynchronous step", better: "lower", target: atMost(1.5) },
  importVsNeeded: {
    means: "time of an import of one of our modules, divided by that of what it needs anyway (worst module)",
    better: "lower",
    target: atMost(2.5)
  },
  ownKilobytes: {
    means: "kB of our own code of a module in a bundle, minified and gzipped (largest)",
    better: "lower"
  },
  bundleKilobytes: { means: "the same with what it takes of effect", better: "lower", target: atMost(300) }
}
