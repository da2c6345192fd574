/** What this process holds: memory after a collection, handles, and how late its timers are. */
import { existsSync, readdirSync } from "node:fs"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

/** Late by so many milliseconds, since it was asked before. */
const resolution = 10
const delay = monitorEventLoopDelay({ resolution })
delay.enable()

const millis = (nanos: number): number => Number.isFinite(nanos) ? Math.max(0, nanos / 1e6 - resolution) : 0

const openFiles = (): number => existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd").length : 0

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

export const measureProcess = async () => {
  const lagP50 = millis(delay.percentile(50))
  const lagP99 = millis(delay.percentile(99))
  const lagMax = millis(delay.max)
  // What weak references and finalizers hold goes with a later one.
  for (let n = 0; n < 3; n++) {
    collect()
    await turn()
  }
  const { arrayBuffers, external, heapUsed, rss } = process.memoryUsage()
  // Timers come and go with the work; sockets, files and servers stay.
  const handles = process.getActiveResourcesInfo().filter((name) => !["Timeout", "Immediate"].includes(name)).length
  delay.reset()
  return { heapUsed, external, arrayBuffers, rss, handles, openFiles: openFiles(), lagP50, lagP99, lagMax }
}
