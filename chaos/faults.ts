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

interface Given {
  readonly fleet: Fleet
  readonly worker: Worker
  readonly random: Random
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
const freeze: Fault = async ({ fleet, random, worker }) => {
  const millis = fleet.options.leaseMillis * random.between(1.1, 1.7)
  worker.isFrozen = true
  worker.signal("SIGSTOP")
  await sleep(millis)
  worker.signal("SIGCONT")
  worker.isFrozen = false
}

const restart: Fault = async ({ fleet, random }) => {
  await fleet.options.server.restart(random.next() < 0.5, random.between(0, 600))
}

const cut: Fault = async ({ fleet, random, worker }) => {
  // In the middle of what one of them sends, or all at once.
  if (random.next() < 0.5) {
    worker.proxy.stopAfter(random.integer(3000), worker.proxy.restore)
    await sleep(1500)
    worker.proxy.restore()
  } else {
    for (const { proxy } of fleet.workers) proxy.cut()
  }
}

const blackout: Fault = async ({ random, worker }) => {
  const millis = random.between(200, 3500)
  worker.proxy.down()
  await sleep(millis)
  worker.proxy.up()
}

/** The store does what it is asked, and nobody hears of it. */
const loseAnswers: Fault = async ({ random, worker }) => {
  const millis = random.between(50, 1500)
  worker.proxy.withholdAnswers(() => {})
  await sleep(millis)
  worker.proxy.restore()
}

const slowDown: Fault = async ({ random, worker }) => {
  const millis = random.between(20, 400)
  const length = random.between(1000, 3000)
  worker.proxy.delay(millis)
  await sleep(length)
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
  let hand: Array<keyof Counts> = []
  while (performance.now() < until) {
    await sleep(random.between(400, 1400))
    if (hand.length === 0) hand = random.shuffled(round.filter((kind) => only.includes(kind)))
    const kind = hand.pop() ?? "kills"
    const chosen = random.integer(fleet.workers.length)
    // A process that is frozen already is left to its fate, and one that only loads has nothing to lose.
    const workers = [...fleet.workers.slice(chosen), ...fleet.workers].filter(({ isFrozen }) => !isFrozen)
    const worker = workers.find(({ isUp }) => isUp) ?? workers[0]
    if (worker === undefined) continue
    counts[kind]++
    const done = faults[kind]({ fleet, worker, random }).finally(() => underWay.delete(done))
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
