/** What goes wrong, in an order that the seed decides. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Fleet, Worker } from "./fleet.ts"
import type { Random } from "./random.ts"

/** How often each has happened. */
export interface Counts {
  kills: number
  terminations: number
  freezes: number
  restarts: number
  cuts: number
  blackouts: number
  lostAnswers: number
  latencies: number
}

const none = (): Counts => ({
  kills: 0,
  terminations: 0,
  freezes: 0,
  restarts: 0,
  cuts: 0,
  blackouts: 0,
  lostAnswers: 0,
  latencies: 0
})

/** From 0 up to, and without, 1. */
type Draw = number

const between = (draw: Draw, from: number, to: number): number => from + draw * (to - from)

interface Given {
  readonly fleet: Fleet
  readonly worker: Worker
  /** Drawn before, so that what happens meanwhile changes nothing of what comes after. */
  readonly one: Draw
  readonly other: Draw
}

/** A fault, and what must be waited for before it is over. */
type Fault = (given: Given) => Promise<void>

const kill: Fault = async ({ worker }) => {
  worker.signal("SIGKILL")
}

const terminate: Fault = async ({ worker }) => {
  worker.signal("SIGTERM")
}

/** Longer than its leases live: others take its runs over, and then it wakes up. */
const freeze: Fault = async ({ fleet, one, worker }) => {
  worker.isFrozen = true
  worker.signal("SIGSTOP")
  await sleep(fleet.options.leaseMillis * between(one, 1.1, 1.7))
  worker.signal("SIGCONT")
  worker.isFrozen = false
}

const restart: Fault = ({ fleet, one, other }) => fleet.options.server.restart(one < 0.5, between(other, 0, 600))

const cut: Fault = async ({ fleet, one, other, worker }) => {
  // In the middle of what one of them sends, or all at once.
  if (one < 0.5) {
    worker.proxy.stopAfter(Math.floor(other * 3000), worker.proxy.restore)
    await sleep(1500)
    worker.proxy.restore()
  } else {
    for (const { proxy } of fleet.workers) proxy.cut()
  }
}

const blackout: Fault = async ({ one, worker }) => {
  worker.proxy.down()
  await sleep(between(one, 200, 3500))
  worker.proxy.up()
}

/** The store does what it is asked, and nobody hears of it. */
const loseAnswers: Fault = async ({ one, worker }) => {
  worker.proxy.withholdAnswers(() => {})
  await sleep(between(one, 50, 1500))
  worker.proxy.restore()
}

const slowDown: Fault = async ({ one, other, worker }) => {
  worker.proxy.delay(between(one, 20, 400))
  await sleep(between(other, 1000, 3000))
  worker.proxy.delay(0)
}

const faults = {
  kills: kill,
  terminations: terminate,
  freezes: freeze,
  restarts: restart,
  cuts: cut,
  blackouts: blackout,
  lostAnswers: loseAnswers,
  latencies: slowDown
}

export const kinds = Object.keys(faults) as ReadonlyArray<keyof Counts> // as they are written above

/** Each round has all of these, in another order. */
const round: ReadonlyArray<keyof Counts> = ["kills", "kills", "freezes", "cuts", ...kinds]

/** One fault as the seed has it. */
export interface Planned {
  readonly kind: keyof Counts
  /** How long nothing else goes wrong before it. */
  readonly afterMillis: number
  /** Whom it hits, if that one is there to be hit: else the next one. */
  readonly worker: number
  readonly one: Draw
  readonly other: Draw
}

/** What goes wrong without end, of the same seed always the same. */
export function* plan(random: Random, only: ReadonlyArray<keyof Counts>, workers: number): Generator<Planned, never> {
  for (;;) {
    for (const kind of random.shuffled(round.filter((kind) => only.includes(kind)))) {
      yield {
        kind,
        afterMillis: random.between(400, 1400),
        worker: random.integer(workers),
        one: random.next(),
        other: random.next()
      }
    }
  }
}

/** Does one thing after the other for so long, and returns when all is as before. */
export const inject = async (
  fleet: Fleet,
  random: Random,
  seconds: number,
  only: ReadonlyArray<keyof Counts>
): Promise<Counts> => {
  const counts = none()
  const until = performance.now() + seconds * 1000
  const underWay = new Set<Promise<void>>()
  for (const { afterMillis, kind, worker: chosen, ...draws } of plan(random, only, fleet.workers.length)) {
    if (performance.now() + afterMillis > until) break
    await sleep(afterMillis)
    // A process that is frozen already is left to its fate, and one that only loads has nothing to lose.
    const worker = [...fleet.workers.slice(chosen), ...fleet.workers].find(({ isFrozen, isUp }) => isUp && !isFrozen)
    // Where nobody is there to be hit, nothing has gone wrong.
    if (worker === undefined) continue
    counts[kind]++
    const done = faults[kind]({ fleet, worker, ...draws }).finally(() => underWay.delete(done))
    underWay.add(done)
    // The next one comes to a server that is there.
    if (kind === "restarts") await done
  }
  await Promise.all(underWay)
  for (const { proxy } of fleet.workers) {
    proxy.up()
    proxy.restore()
  }
  return counts
}
