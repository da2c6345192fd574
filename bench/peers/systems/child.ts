/** A system in its process, for who measures it. */
import { Effect } from "effect"
import { fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { Answer, Wish } from "./host.ts"

export interface Named {
  readonly system: string
  readonly variant: string
}

const host = fileURLToPath(new URL("host.ts", import.meta.url))

const isAnswer = (u: unknown): u is Answer => typeof u === "object" && u !== null

export const startChild = ({ system, variant }: Named) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = fork(host, [system, variant], {
        execArgv: ["--conditions=@everbeat/source", "--no-deprecation"],
        // What systems log is not for the results.
        stdio: ["ignore", "ignore", "inherit", "ipc"]
      })
      const ask = async (wish: Wish) => {
        const given = new AbortController()
        const ended = once(child, "exit", { signal: given.signal }).then(([code]): never => {
          throw new Error(`the process of ${system} ended with ${String(code)}`)
        })
        const answered = once(child, "message", { signal: given.signal })
        child.send(wish)
        try {
          const [answer]: ReadonlyArray<unknown> = await Promise.race([answered, ended])
          if (!isAnswer(answer)) throw new Error(`${system} answered nothing`)
          if ("failed" in answer) throw new Error(`${system}: ${answer.failed}`)
          return answer
        } finally {
          given.abort()
          await Promise.allSettled([answered, ended])
        }
      }
      return { child, ask: (wish: Wish) => Effect.promise(() => ask(wish)) }
    }),
    ({ child }) =>
      Effect.promise(async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const ended = once(child, "exit")
        child.kill("SIGKILL")
        await ended
      })
  )
