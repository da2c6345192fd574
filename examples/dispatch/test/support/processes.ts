/** `npm run dispatch` as a process of its own. */
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { until } from "./client.ts"

export interface HostProcess {
  readonly url: string
  readonly output: () => string
  readonly isAlive: () => boolean
  /** Sends the signal and answers the exit code when the process is gone: `null` for one that was killed. */
  readonly end: (signal: NodeJS.Signals) => Effect.Effect<number | null>
}

/** Started as a user starts it, on any free port; killed with the scope. */
export const startHost = Effect.fnUntraced(function*(
  env: Readonly<Record<string, string>>
): Effect.fn.Return<HostProcess, never, Scope.Scope> {
  const { NODE_OPTIONS: _, VITEST: __, ...inherited } = process.env
  const main = join(import.meta.dirname, "../../src/main.ts")
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--conditions=@everbeat/source", main], {
        env: { ...inherited, PORT: "0", DISPATCH_AGENT_TOKENS: "triage=t-triage,coder=t-coder", ...env },
        stdio: ["ignore", "pipe", "pipe"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  let output = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text
    })
  }
  const isAlive = () => child.exitCode === null && child.signalCode === null
  const found = yield* until(
    Effect.sync(() => /listens on (\S+)\n[^]*\/heartbeat\n/.exec(output)),
    (found) => found !== null || !isAlive()
  )
  return {
    url: found?.[1] ?? assert.fail(output),
    output: () => output,
    isAlive,
    end: (signal) =>
      Effect.promise(async () => {
        const ended = isAlive() ? once(child, "exit") : undefined
        child.kill(signal)
        await ended
        return child.exitCode
      })
  }
})
