/**
 * What a save costs as the history grows, side by side: LangGraph's savers, a run in one row, the least that anybody would
 * write, and the stores of Everbeat. Each turn adds two messages of 1 KB. All take their turns in one process, in an order
 * that changes with every turn; a run is given its history in one write, and then saves some turns around the mark.
 *
 *   npm run bench -- --suite save               all marks, and whole runs of 1,000 turns
 *   npm run bench -- --suite save --quick       all marks
 *   npm run bench -- --suite save --data FILE   whole runs of a file: an array of runs, or one message per line
 *
 * Ratios are medians of the ratios of each round: what is noise in a round hits all of it.
 */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import type { Chart } from "../support/chart.ts"
import { runsOf, shuffled, turnsOf } from "../support/history.ts"
import { conclude, median, percentile, print, round, short } from "../support/numbers.ts"
import { acquirePool, postgres, redis } from "../support/servers.ts"
import type { Candidate, Message } from "./saving/candidate.ts"
import { inMemory, inPostgres, inRedis } from "./saving/everbeat.ts"
import { appendOnly, insertOnly } from "./saving/floors.ts"
import { memorySaver, postgresSaver, postgresSaverOfDeltas } from "./saving/langgraph.ts"
import { linesOf, lists } from "./saving/lists.ts"
import { inOneRow, underOneKey } from "./saving/snapshots.ts"

const { values: { data, quick } } = parseArgs({
  options: { data: { type: "string" }, quick: { type: "boolean" }, json: { type: "boolean" } }
})
const marks = [10, 100, 500, 1000]
const rounds = quick === true ? 5 : 7
const turnsPerRound = 40
const warmUps = 12
const turnsOfGrowing = quick === true ? 3 : 6

const say = (line: string): void => console.error(`save: ${line}`)

const isMessage = (u: unknown): u is Message => typeof u === "object" && u !== null && "role" in u
const toTurn = (rows: ReadonlyArray<unknown>): ReadonlyArray<Message> => rows.filter(isMessage)
const turns = turnsOf(1_000 + turnsPerRound / 2, undefined).map((rows) =>
  toTurn(rows.map((row): unknown => JSON.parse(row)))
)

/** What one round of one candidate at one mark came to. */
interface Round {
  readonly micros: ReadonlyArray<number>
  readonly sent: number
  readonly stored: number
  readonly load: number
}

const oneSave = Effect.fnUntraced(function*(candidate: Candidate, turn: ReadonlyArray<Message>) {
  const save = candidate.save(turn)
  const from = process.hrtime.bigint()
  yield* save
  return Number(process.hrtime.bigint() - from) / 1000
})

const storedOf = ({ stored }: Candidate): Effect.Effect<number> => stored ?? Effect.succeed(NaN)
const sentOf = ({ sent }: Candidate): number => sent === undefined ? NaN : sent().bytes

const oneRound = Effect.fnUntraced(function*(all: ReadonlyArray<Candidate>, mark: number) {
  const count = Math.min(turnsPerRound, 2 * mark)
  const first = mark - count / 2
  const history = turns.slice(0, first).flat()
  for (const candidate of all) yield* candidate.begin(history)
  const before = new Map<Candidate, { readonly stored: number; readonly sent: number }>()
  for (const candidate of all) {
    before.set(candidate, { stored: yield* storedOf(candidate), sent: sentOf(candidate) })
  }
  const micros = new Map<Candidate, Array<number>>(all.map((candidate) => [candidate, []]))
  for (let index = 0; index < count; index++) {
    const turn = turns[first + index] ?? []
    for (const candidate of shuffled(all.filter(({ grows }) => !grows || index < turnsOfGrowing))) {
      micros.get(candidate)?.push(yield* oneSave(candidate, turn))
    }
  }
  const results = new Map<Candidate, Round>()
  for (const candidate of shuffled(all)) {
    const saved = micros.get(candidate) ?? []
    const from = before.get(candidate)
    const sent = (sentOf(candidate) - (from?.sent ?? NaN)) / saved.length
    const stored = ((yield* storedOf(candidate)) - (from?.stored ?? NaN)) / saved.length
    const started = performance.now()
    const messages = yield* candidate.load
    const load = performance.now() - started
    const expected = 2 * (first + saved.length)
    if (messages !== expected) throw new Error(`${candidate.name} read ${messages} of ${expected} messages`)
    results.set(candidate, { micros: saved, sent, stored, load })
  }
  return results
})

interface Replayed {
  readonly name: string
  readonly micros: ReadonlyArray<number>
  readonly sent: number
  readonly stored: number
}

/** Whole runs, a save after every turn. */
const replay = Effect.fnUntraced(function*(
  all: ReadonlyArray<Candidate>,
  runs: ReadonlyArray<ReadonlyArray<ReadonlyArray<Message>>>
) {
  const before = new Map<Candidate, readonly [stored: number, sent: number]>()
  for (const candidate of all) before.set(candidate, [yield* storedOf(candidate), sentOf(candidate)])
  const micros = new Map<Candidate, Array<number>>(all.map((candidate) => [candidate, []]))
  for (const [index, run] of runs.entries()) {
    if (index % 50 === 0) say(`replays run ${index + 1} of ${runs.length}`)
    for (const candidate of all) yield* candidate.begin([])
    for (const [count, turn] of run.entries()) {
      if (count > 0 && count % 250 === 0) say(`turn ${count} of ${run.length}`)
      for (const candidate of shuffled(all)) micros.get(candidate)?.push(yield* oneSave(candidate, turn))
    }
  }
  const results: Array<Replayed> = []
  for (const candidate of all) {
    const [stored, sent] = before.get(candidate) ?? [NaN, NaN]
    results.push({
      name: candidate.name,
      micros: micros.get(candidate) ?? [],
      sent: sentOf(candidate) - sent,
      stored: (yield* storedOf(candidate)) - stored
    })
  }
  return results
})

const measure = Effect.gen(function*() {
  const { url } = yield* postgres
  const server = yield* redis
  const pg = yield* inPostgres(url)
  const inKeys = yield* inRedis(server.url)
  const memory = yield* inMemory()
  const langgraph = yield* postgresSaver(url)
  const named = {
    langgraph: langgraph.candidate,
    langgraphDeltas: yield* postgresSaverOfDeltas(url),
    row: yield* inOneRow(url),
    pg: pg.candidate,
    pgFloor: yield* insertOnly(url),
    langgraphMemory: memorySaver(),
    memory: memory.candidate,
    key: yield* underOneKey(server.url),
    redis: inKeys.candidate,
    redisFloor: yield* appendOnly(server.url)
  }
  const all: ReadonlyArray<Candidate> = Object.values(named)
  yield* oneRound(all, 100)
  // Whoever saves in a millisecond has saved too little by then for its code to be compiled.
  for (let index = 0; index < warmUps; index++) yield* oneRound(all.filter(({ grows }) => !grows), 100)
  const seen = new Map<number, Array<Map<Candidate, Round>>>(marks.map((mark) => [mark, []]))
  for (let index = 0; index < (data === undefined ? rounds : 0); index++) {
    say(`round ${index + 1} of ${rounds}`)
    for (const mark of marks) seen.get(mark)?.push(yield* oneRound(all, mark))
  }
  const whole = data === undefined
    ? [turns.slice(0, 1_000)]
    : runsOf(data).map((run) => toTurn(run).map((message) => [message]))
  // LangGraph's MemorySaver would hold gigabytes.
  const kept = all.filter((candidate) => candidate !== named.langgraphMemory)
  const replayed = data === undefined && quick === true ? [] : yield* replay(kept, whole)
  if (data === undefined) say("lists of 500 and 10,000 runs")
  const listed = data === undefined
    ? yield* lists(
      [["Everbeat, Postgres", pg.store], ["Everbeat, Redis", inKeys.store], ["Everbeat, memory", memory.store]],
      langgraph.saver,
      yield* acquirePool({ connectionString: url, max: 1 }),
      turns.slice(0, 50).flat(),
      quick === true
    )
    : []
  return { named, seen, replayed, listed }
})

const { listed, named, replayed, seen } = await Effect.runPromise(Effect.scoped(measure))
const all: ReadonlyArray<Candidate> = Object.values(named)

const roundsOf = (candidate: Candidate, mark: number): ReadonlyArray<Round> =>
  (seen.get(mark) ?? []).flatMap((results) => results.get(candidate) ?? [])
const micros = (candidate: Candidate, mark: number) => roundsOf(candidate, mark).flatMap((one) => one.micros)

/** How many times as long as the other one a save takes, at these marks. */
const times = (candidate: Candidate, other: Candidate, at: ReadonlyArray<number>): number =>
  median(Array.from({ length: rounds }, (_, index) => {
    const middle = (of: Candidate) => median(at.flatMap((mark) => roundsOf(of, mark)[index]?.micros ?? []))
    return middle(candidate) / middle(other)
  }))
const slope = (candidate: Candidate): number =>
  median(
    roundsOf(candidate, 1_000).map(({ micros: late }, index) =>
      median(late) / median(roundsOf(candidate, 100)[index]?.micros ?? [])
    )
  )

const { langgraph, langgraphDeltas, langgraphMemory, memory, pg, pgFloor, redis: inKeys, redisFloor, row } = named
const loads = (candidate: Candidate) => median(roundsOf(candidate, 1_000).map(({ load }) => load))
const summary = data === undefined
  ? {
    saveVsLangGraphAt1000: round(times(langgraph, pg, [1_000])),
    saveVsLangGraphDeltasAt1000: round(times(langgraphDeltas, pg, [1_000])),
    saveVsOneRowAt1000: round(times(row, pg, [1_000])),
    memorySaveVsLangGraphAt1000: round(times(langgraphMemory, memory, [1_000])),
    saveVsFloor: round(times(pg, pgFloor, marks)),
    redisSaveVsFloor: round(times(inKeys, redisFloor, marks)),
    saveSlope: round(slope(pg)),
    redisSaveSlope: round(slope(inKeys)),
    loadVsLangGraphAt1000: round(loads(langgraph) / loads(pg)),
    loadVsLangGraphDeltasAt1000: round(loads(langgraphDeltas) / loads(pg)),
    listMillisOf10000: round(listed[0]?.pageOfMany ?? NaN),
    listVsLangGraph: round((listed.at(-1)?.page ?? NaN) / (listed[0]?.page ?? NaN))
  }
  : {}

const charts: ReadonlyArray<Chart> = data === undefined
  ? [{
    name: "save",
    title: "One save of a turn of 2 KB, by the length of the run",
    x: { label: "turns that the run has", values: marks },
    y: { label: "milliseconds, median" },
    lines: all.map((candidate) => ({
      name: candidate.name,
      values: marks.map((mark) => median(micros(candidate, mark)) / 1_000)
    }))
  }]
  : []

conclude(
  summary,
  data === undefined
    ? [
      { name: "saveVsLangGraphAt1000", value: summary.saveVsLangGraphAt1000 ?? NaN, operator: ">=", limit: 40 },
      { name: "saveVsFloor", value: summary.saveVsFloor ?? NaN, operator: "<=", limit: 2 },
      { name: "redisSaveVsFloor", value: summary.redisSaveVsFloor ?? NaN, operator: "<=", limit: 1.5 }
    ]
    : [],
  () => {
    if (data === undefined) {
      const millis = (of: Candidate, mark: number, share: number) => short(percentile(micros(of, mark), share) / 1_000)
      print([
        ["a save, ms: p50 / p99 at turn", ...marks.map((mark) => mark.toLocaleString("en-US"))],
        ...all.map((of) => [of.name, ...marks.map((mark) => `${millis(of, mark, 0.5)} / ${millis(of, mark, 0.99)}`)])
      ])
      const kilobytes = (of: Candidate, pick: (one: Round) => number) =>
        short(median(roundsOf(of, 1_000).map(pick)) / 1_000)
      print([
        ["at turn 1,000", "sent per save, kB", "stored per save, kB", "load, ms"],
        ...all.map((of) => [
          of.name,
          kilobytes(of, ({ sent }) => sent),
          kilobytes(of, ({ stored }) => stored),
          short(loads(of))
        ])
      ])
      print(linesOf(listed))
    }
    if (replayed.length > 0) {
      const sum = (values: ReadonlyArray<number>) => values.reduce((total, value) => total + value, 0)
      print([
        [
          data === undefined ? "a run of 1,000 turns" : "whole runs of the file",
          "saves",
          "p50 / p99, ms",
          "all, s",
          "sent, MB",
          "stored, MB"
        ],
        ...replayed.map(({ micros: each, name, sent, stored }) => [
          name,
          each.length.toLocaleString("en-US"),
          `${short(median(each) / 1_000)} / ${short(percentile(each, 0.99) / 1_000)}`,
          short(sum(each) / 1e6),
          short(sent / 1e6),
          short(stored / 1e6)
        ])
      ])
    }
  },
  charts
)
