/** Four processes that work on one store, each behind a way of its own, and what is done to them. */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { type Proxy, startProxy } from "../test/servers/proxy.ts"
import { type FromWorker, type StoreName, type ToWorker, unreachable } from "./messages.ts"
import type { Random } from "./random.ts"
import type { Sabotage } from "./sabotage.ts"
import type { Server } from "./server.ts"
import { skews } from "./skewedClock.ts"

export const size = 4

export interface FleetOptions {
  readonly store: StoreName
  readonly server: Server
  readonly journals: string
  readonly random: Random
  readonly leaseMillis: number
  readonly sabotage: Sabotage | undefined
}

interface Process {
  readonly child: ChildProcess
  readonly loaded: Promise<void>
  complaints: string
  /** It was told to end. */
  isDoomed: boolean
}

const load = (): Process => {
  const child = fork(join(import.meta.dirname, "worker.ts"), {
    execArgv: ["--conditions=@everbeat/source", "--no-warnings"],
    stdio: ["ignore", "ignore", "pipe", "ipc"]
  })
  const started = { child, loaded: once(child, "message").then(() => {}), complaints: "", isDoomed: false }
  started.loaded.catch(() => {})
  child.on("error", () => {})
  child.stderr?.on("data", (chunk) => {
    if (started.complaints.length < 4000) started.complaints += String(chunk)
  })
  return started
}

/** Why a process that has ended should not have. */
const mishap = ({ isDoomed }: Process, code: number | null, signal: string | null): string | undefined => {
  if (code === unreachable) return undefined
  if (isDoomed && (code === 0 || signal === "SIGKILL" || signal === "SIGTERM")) return undefined
  return `ended by itself with ${code ?? signal}`
}

const isAlive = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode === null && signalCode === null

const tell = (child: ChildProcess, message: ToWorker): void => {
  if (child.connected) child.send(message, () => {})
}

/** How long a worker may take to stop when nothing goes wrong any more. */
const stopMillis = 30_000

/** One of the four: it comes back whenever it ends. */
export class Worker {
  private incarnation = 0
  private current: Process | undefined
  private isOver = false
  isFrozen = false
  isUp = false
  /** It has begun its last run. */
  isResting = false
  readonly proxy: Proxy
  private readonly index: number
  private readonly fleet: Fleet

  constructor(fleet: Fleet, index: number, proxy: Proxy) {
    this.fleet = fleet
    this.index = index
    this.proxy = proxy
  }

  async start(): Promise<void> {
    const { journals, leaseMillis, random, sabotage, store } = this.fleet.options
    const started = this.current = this.fleet.take()
    const worker = `worker-${this.index}.${++this.incarnation}`
    // Drawn here: how fast a process loads changes nothing of what comes after.
    const config = {
      worker,
      store,
      url: this.proxy.url,
      journals,
      seed: random.integer(2 ** 31),
      leaseMillis,
      // Whoever knows that its lease has ended writes nothing: a store that is broken shows in those who do not.
      skew: sabotage === undefined ? random.pick(skews) : "suspended" as const,
      pool: random.pick([1, 2, 10]),
      sabotage
    }
    started.child.once("exit", (code, signal) => {
      if (this.isOver) return
      const what = mishap(started, code, signal)
      if (what !== undefined) this.fleet.crashes.push(`${worker} ${what}\n${started.complaints}`)
      this.isFrozen = this.isUp = this.isResting = false
      void this.start()
    })
    started.child.on("message", ({ type }: FromWorker) => {
      if (type === "resting") this.isResting = true
    })
    await started.loaded
    tell(started.child, { type: "start", config })
    this.isUp = true
    if (this.fleet.isQuiet) tell(started.child, { type: "quiet" })
  }

  signal(signal: NodeJS.Signals): void {
    if (this.current === undefined) return
    if (signal === "SIGKILL" || signal === "SIGTERM") this.current.isDoomed = true
    this.current.child.kill(signal)
  }

  tell(message: ToWorker): void {
    if (this.current !== undefined) tell(this.current.child, message)
  }

  /** What it answers, unless it has nothing to say for a while. */
  asked(message: ToWorker, millis: number): Promise<FromWorker | undefined> {
    if (this.current === undefined) return Promise.resolve(undefined)
    const { child } = this.current
    return new Promise((resolve) => {
      const end = (answer: FromWorker | undefined): void => {
        clearTimeout(impatience)
        child.off("message", hear)
        resolve(answer)
      }
      const hear = (answer: FromWorker): void => {
        if (answer.type === "rescued") end(answer)
      }
      const impatience = setTimeout(() => end(undefined), millis)
      child.on("message", hear)
      tell(child, message)
    })
  }

  /** In good order, or by force: at once, or when it does not come to an end, which is a mishap. */
  async stop(force: boolean): Promise<void> {
    this.isOver = true
    if (this.current === undefined || !isAlive(this.current.child)) return
    const { child } = this.current
    const ended = once(child, "exit")
    const impatience = setTimeout(() => {
      this.fleet.crashes.push(`worker-${this.index} did not end within ${stopMillis / 1000} s of SIGTERM`)
      child.kill("SIGKILL")
    }, stopMillis)
    child.kill(force ? "SIGKILL" : "SIGTERM")
    const [code, signal]: ReadonlyArray<unknown> = await ended
    clearTimeout(impatience)
    // One that was still loading has no shutdown.
    if (!force && code !== 0 && code !== unreachable && signal !== "SIGTERM" && signal !== "SIGKILL") {
      this.fleet.crashes.push(`worker-${this.index} was stopped and ended with ${String(code ?? signal)}`)
    }
  }
}

export class Fleet {
  readonly workers: Array<Worker> = []
  /** Processes that ended by themselves, with what they said. */
  readonly crashes: Array<string> = []
  readonly options: FleetOptions
  /** Loaded and waiting: to load takes longer than most of what a worker does. */
  private readonly spares: Array<Process> = []
  private isOver = false
  isQuiet = false

  constructor(options: FleetOptions) {
    this.options = options
  }

  async start(): Promise<void> {
    const { server } = this.options
    for (let index = 0; index < 2; index++) this.spares.push(load())
    for (let index = 0; index < size; index++) {
      this.workers.push(new Worker(this, index, await startProxy(server.url, server.port)))
    }
    await Promise.all(this.workers.map((worker) => worker.start()))
  }

  /** Nobody begins anything new, also those who come back later. */
  quieten(): void {
    this.isQuiet = true
    for (const worker of this.workers) worker.tell({ type: "quiet" })
  }

  /** Nobody begins anything any more. */
  get isResting(): boolean {
    return this.workers.every(({ isResting }) => isResting)
  }

  take(): Process {
    const taken = this.spares.shift() ?? load()
    if (!this.isOver) this.spares.push(load())
    return taken
  }

  async stop(force = false): Promise<void> {
    this.isOver = true
    for (const { child } of this.spares) child.kill("SIGKILL")
    await Promise.all(this.workers.map((worker) => worker.stop(force)))
    for (const { proxy } of this.workers) proxy.close()
  }
}
