/** The process of a system: `host.ts SYSTEM [VARIANT]`. It does what its parent sends, one thing after the other. */
import { percentile } from "../../support/numbers.ts"
import type { Open, System } from "./system.ts"

/** What the parent wants. */
export type Wish =
  | { readonly do: "open"; readonly url: string; readonly concurrency: number }
  | { readonly do: "run"; readonly forMillis: number; readonly concurrency: number }
  | { readonly do: "close" }

/** What became of it: times in milliseconds. */
export type Answer = { readonly failed: string } | {
  readonly millis: number
  readonly runs: number
  readonly p50: number
  readonly p99: number
  readonly cpu: number
}

const [name = "", variant = ""] = process.argv.slice(2)
const systems: Readonly<Record<string, () => Promise<{ readonly open: Open }>>> = {
  dbos: () => import("./dbos.ts"),
  effectCluster: () => import("./effectCluster.ts"),
  openWorkflow: () => import("./openWorkflow.ts"),
  everbeat: () => import("./everbeat.ts")
}

let system: System | undefined

/** Callers that each begin one after the other until the time is over, and then wait for their last one. */
const run = async (forMillis: number, concurrency: number) => {
  const each: Array<number> = []
  const end = performance.now() + forMillis
  await Promise.all(Array.from({ length: concurrency }, async (_, caller) => {
    do {
      const from = performance.now()
      await system?.run(caller)
      each.push(performance.now() - from)
    } while (performance.now() < end)
  }))
  return each
}

const grant = async (wish: Wish): Promise<Answer> => {
  const cpu = process.cpuUsage()
  const from = performance.now()
  let each: ReadonlyArray<number> = []
  if (wish.do === "open") {
    const load = systems[name]
    if (load === undefined) throw new Error(`there is no system ${name}`)
    const { open } = await load()
    system = await open({ url: wish.url, concurrency: wish.concurrency, variant })
  } else if (wish.do === "run") {
    each = await run(wish.forMillis, wish.concurrency)
  } else {
    await system?.close()
  }
  const { system: kernel, user } = process.cpuUsage(cpu)
  return {
    millis: performance.now() - from,
    runs: each.length,
    p50: percentile(each, 0.5),
    p99: percentile(each, 0.99),
    cpu: (user + kernel) / 1_000
  }
}

const isWish = (u: unknown): u is Wish => typeof u === "object" && u !== null && "do" in u

process.on("message", (message) => {
  if (!isWish(message)) return
  grant(message).then(
    (answer) => process.send?.(answer),
    (cause: unknown) =>
      process.send?.({ failed: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) })
  )
})
process.on("disconnect", () => process.exit(0))
