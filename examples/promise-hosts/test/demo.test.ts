import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { expect, it } from "vitest"
import { serveExpress } from "../src/ExpressHost.ts"
import { serveFastify } from "../src/FastifyHost.ts"
import { play } from "../src/Play.ts"

const lines = (name: string): ReadonlyArray<string> => [
  `${name}:`,
  "  settled: triage ended as warning: 3 steps: 2 ok, 1 warning; 2 issues touched",
  "  warning: sync-issues: Issue 7 has no owner. (Assign it in the tracker.)",
  "  touched https://issues.example/8 https://issues.example/9",
  "  the same key is answered with the same run",
  "  settled: triage ended as error: 3 steps: 1 error, 2 skipped",
  "  error: sync-issues: The tracker does not answer. (The tracker is restarted every night at two.)",
  "  the host's own page says [\"error\",\"warning\"]",
  "  after it stopped: Everbeat was disposed."
]

it.for([["Express", serveExpress], ["Fastify", serveFastify]] as const)(
  "an agent beats against Dispatch in %s",
  async ([name, serve]) => {
    const said: Array<string> = []
    await play(serve, (line) => said.push(line))
    // A callback comes as soon as it can: before the answer, or after it.
    expect(said.toSorted()).toEqual([...lines(name)].sort())
  }
)

it("the demo ends by itself", async () => {
  const demo = fileURLToPath(new URL("../src/demo.ts", import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ["--conditions=@everbeat/source", demo])
  for (const line of [...lines("Express"), ...lines("Fastify")]) expect(stdout).toContain(`${line}\n`)
})
