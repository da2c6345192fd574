/**
 * What HTTP costs: a heartbeat of three steps that do nothing, over `node:http` with kept connections, side by side with a
 * bare `node:http` handler that answers the same JSON, and with the same passes called in process. All take their
 * turns in one process, the client with them, so noise of the machine hits all; only their ratios mean something.
 *
 *   npm run bench:http            a table
 *   npm run bench:http -- --json  one line of JSON
 *   npm run bench:http -- --quick fewer rounds
 *
 * The exit code is 1 when a limit does not hold. Each connection is an agent of its own, with one call after the other.
 * `...VsBare` is how many times longer than the bare handler, `...VsPasses` than the passes alone: `time` on the clock,
 * `cpu` of the process with its client. The limits are of `cpu`, which other load of the machine hits least.
 */
import { Heartbeat, HeartbeatEngine, Step } from "@everbeat/core"
import { AgentAuth, HeartbeatHandler, NodeAdapter } from "@everbeat/http"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Layer, Logger, ManagedRuntime } from "effect"
import { createServer, type RequestListener } from "node:http"
import { random } from "./support/history.ts"
import { openConnection } from "./support/httpLoad.ts"
import { conclude, median, percentile, print, round, short } from "./support/numbers.ts"

const rounds = process.argv.includes("--quick") ? 4 : 12
const crowds = [{ agents: 1, calls: 400 }, { agents: 16, calls: 50 }]

const beat = Heartbeat.make("bench", ["one", "two", "three"].map((name) => Step.make(name, Effect.void)))
const engine = HeartbeatEngine.layer.pipe(
  Layer.provideMerge(MemoryStore.layer),
  Layer.provideMerge(Logger.layer([]))
)

/** Calls for one agent at a time. */
interface Caller {
  readonly call: () => Promise<unknown>
  readonly close: () => void
}

interface Candidate {
  readonly name: "bare" | "http" | "passes"
  readonly open: (agent: string) => Promise<Caller>
  readonly close: () => Promise<void>
}

const serve = async (name: Candidate["name"], listener: RequestListener, close: () => Promise<void>) => {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const candidate: Candidate = {
    name,
    open: async (agent) => {
      const { call, close } = await openConnection(port)
      const request = `POST /api/agents/${agent}/heartbeat HTTP/1.1\r\nHost: localhost\r\n`
        + `Authorization: Bearer s3cret\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`
      return { call: () => call(request), close }
    },
    close: async () => {
      await close()
      server.close()
      server.closeAllConnections()
    }
  }
  return candidate
}

const handler = HeartbeatHandler.make({
  heartbeats: () => beat,
  auth: AgentAuth.make((_, { agentName }) => Effect.succeed({ agentName, tokenId: agentName })),
  layer: engine
})
const http = await serve("http", NodeAdapter.toNodeHandler(handler), handler.dispose)

const first = await http.open("first")
const body = String(await first.call())
first.close()

const bare = await serve("bare", (request, response) => {
  const chunks: Array<Uint8Array> = []
  request.on("data", (chunk: Uint8Array) => chunks.push(chunk)).on("end", () => {
    void JSON.parse(Buffer.concat(chunks).toString())
    response.setHeader("content-type", "application/json").setHeader("content-length", Buffer.byteLength(body))
    response.end(body)
  })
}, () => Promise.resolve())

const runtime = ManagedRuntime.make(engine)
const passes: Candidate = {
  name: "passes",
  open: (agent) =>
    Promise.resolve({ call: () => runtime.runPromise(Heartbeat.run(beat, { agent, payload: {} })), close: () => {} }),
  close: () => runtime.dispose()
}

const candidates = [bare, http, passes]

/** Milliseconds of each call, calls per second, and microseconds of the processor for one. */
const oneRound = async ({ open }: Candidate, { agents, calls }: (typeof crowds)[number]) => {
  const callers = await Promise.all(Array.from({ length: agents }, (_, index) => open(`agent-${index}`)))
  const each: Array<number> = []
  const cpu = process.cpuUsage()
  const from = performance.now()
  await Promise.all(callers.map(async ({ call }) => {
    for (let count = 0; count < calls; count++) {
      const before = performance.now()
      await call()
      each.push(performance.now() - before)
    }
  }))
  const all = performance.now() - from
  const { system, user } = process.cpuUsage(cpu)
  for (const { close } of callers) close()
  return { each, perSecond: agents * calls / all * 1000, cpu: (user + system) / (agents * calls) }
}

const next = random(4711)
const shuffled = <A>(values: ReadonlyArray<A>): ReadonlyArray<A> =>
  values.map((value) => ({ value, at: next() })).toSorted((a, b) => a.at - b.at).map(({ value }) => value)

interface Result {
  readonly name: Candidate["name"]
  readonly agents: number
  readonly perSecond: number
  readonly p99: number
  readonly cpu: number
}

const results: Array<Result> = []
for (const crowd of crowds) {
  const nothing = (): Record<"cpus" | "each" | "speeds", Array<number>> => ({ cpus: [], each: [], speeds: [] })
  const seen = new Map(candidates.map(({ name }) => [name, nothing()]))
  for (let count = -1; count < rounds; count++) {
    for (const candidate of shuffled(candidates)) {
      const { cpu, each, perSecond } = await oneRound(candidate, crowd)
      if (count < 0) continue // warm-up
      seen.get(candidate.name)?.cpus.push(cpu)
      seen.get(candidate.name)?.speeds.push(perSecond)
      seen.get(candidate.name)?.each.push(...each)
    }
  }
  for (const [name, { cpus, each, speeds }] of seen) {
    const p99 = percentile(each, 0.99)
    results.push({ name, agents: crowd.agents, perSecond: median(speeds), p99, cpu: median(cpus) })
  }
}
await Promise.all(candidates.map(({ close }) => close()))

const find = (name: Candidate["name"], agents: number) => {
  const found = results.find((result) => result.name === name && result.agents === agents)
  if (found === undefined) throw new Error(`nothing was measured for ${name}`)
  return found
}

const ratios = crowds.flatMap(({ agents }) => {
  const ours = find("http", agents)
  return ([["VsBare", find("bare", agents)], ["VsPasses", find("passes", agents)]] as const).flatMap((
    [suffix, other]
  ) => [
    [`time${agents}${suffix}`, round(other.perSecond / ours.perSecond)] as const,
    [`p99${agents}${suffix}`, round(ours.p99 / other.p99)] as const,
    [`cpu${agents}${suffix}`, round(ours.cpu / other.cpu)] as const
  ])
})

const summary = {
  ...Object.fromEntries(results.flatMap(({ agents, cpu, name, p99, perSecond }) => [
    [`${name}${agents}PerSecond`, Math.round(perSecond)],
    [`${name}${agents}P99Millis`, round(p99)],
    [`${name}${agents}CpuMicros`, round(cpu)]
  ])),
  ...Object.fromEntries(ratios)
}

// About twice of what they are on a machine with nothing else to do: code that others pushed out of the caches is slow.
const limits = { cpu1VsBare: 20, cpu16VsBare: 20, cpu1VsPasses: 16, cpu16VsPasses: 16 }

conclude(
  summary,
  ratios.flatMap(([name, value]) =>
    Object.entries(limits).flatMap(([limited, limit]) =>
      limited === name ? [{ name, value, operator: "<=" as const, limit }] : []
    )
  ),
  () =>
    print([
      ["one call after the other", "agents", "calls/s", "p99 ms", "cpu us"],
      ...results.map(({ agents, cpu, name, p99, perSecond }) => [
        name,
        String(agents),
        short(perSecond),
        short(p99),
        short(cpu)
      ])
    ])
)
