import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { createServer } from "node:net"
import { join } from "node:path"

const source = (file: string): string => join(import.meta.dirname, "../src", file)

/** Runs a script of the example as its npm command does, until it ends or prints what is waited for. */
const run = (file: string, env: Record<string, string> = {}, until?: string) => {
  const { NODE_OPTIONS: _, VITEST: __, ...inherited } = process.env
  const child = spawn(process.execPath, ["--conditions=@everbeat/source", source(file)], {
    env: { ...inherited, ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let output = ""
  let seen = (): void => {}
  const waited = new Promise<void>((resolve) => {
    seen = resolve
  })
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text
      if (until !== undefined && output.includes(until)) seen()
    })
  }
  const ended = new Promise<number | null>((resolve) => {
    child.on("close", (code) => {
      seen()
      resolve(code)
    })
  })
  return { child, waited, ended, output: () => output }
}

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })

describe("npm run demo", () => {
  it("shows every scene as expected and ends with 0", async () => {
    const demo = run("demo.ts")
    assert.strictEqual(await demo.ended, 0, demo.output())
    assert.match(demo.output(), /All as expected\.\s*$/)
    assert.notInclude(demo.output(), "NOT AS EXPECTED")
  })
})

describe("npm run dispatch", () => {
  it("prints its address and a curl that works, and stops when it is told to", async () => {
    const port = await freePort()
    const host = run("main.ts", { PORT: String(port) }, "/heartbeat\n")
    await host.waited
    const printed = /curl -X POST -H 'Authorization: Bearer (\S+)' (http:\S+)/.exec(host.output())
    assert(printed !== null, host.output())
    const [, token = "", url = ""] = printed
    assert.strictEqual(url, `http://127.0.0.1:${port}/api/agents/triage/heartbeat`)
    const response = await fetch(url, { method: "POST", headers: { authorization: `Bearer ${token}` } })
    assert.deepStrictEqual([response.status, response.headers.get("everbeat-status")], [200, "ok"])
    await response.text()
    host.child.kill("SIGTERM")
    assert.strictEqual(await host.ended, 0, "it was told to, and nothing was lost")
  })

  it("shows no token of the environment", async () => {
    const host = run(
      "main.ts",
      { PORT: String(await freePort()), DISPATCH_AGENT_TOKENS: "triage=s3cret-1,coder=s3cret-2" },
      "/heartbeat\n"
    )
    await host.waited
    host.child.kill("SIGTERM")
    await host.ended
    assert.include(host.output(), "Agents: triage, coder")
    assert.notInclude(host.output(), "s3cret")
  })

  it("refuses what it cannot start with, in one readable line", async () => {
    const cases: ReadonlyArray<readonly [Record<string, string>, string]> = [
      [
        { EVERBEAT_STORE: "sqlite" },
        "EVERBEAT_STORE: must be memory, or a URL that begins with postgres:// or redis://"
      ],
      [{ EVERBEAT_STORE: "mysql://me:secret@localhost/x" }, "EVERBEAT_STORE: must be memory, or a URL"],
      [{ EVERBEAT_STORE: "postgres://me:secret@[/x" }, "EVERBEAT_STORE: must be memory, or a URL"],
      [{ EVERBEAT_STORE: "postgres:localhost" }, "EVERBEAT_STORE: must be memory, or a URL"],
      [{ EVERBEAT_STORE: "" }, "EVERBEAT_STORE: is empty"],
      [{ EVERBEAT_STORE: "postgres://me:12/secret@127.0.0.1/x" }, "EVERBEAT_STORE: has an @ after its host"],
      [{ EVERBEAT_STORE: "redis://:1#secret@127.0.0.1" }, "EVERBEAT_STORE: must be memory, or a URL"],
      [{ EVERBEAT_STORE: "postgres://me:secret%@127.0.0.1/x" }, "EVERBEAT_STORE: has a % in its user or password"],
      [{ EVERBEAT_STORE: "redis://:secret@127.0.0.1/state" }, "EVERBEAT_STORE: names a Redis database"],
      [{ EVERBEAT_LEASE: "soon" }, "EVERBEAT_LEASE: must be from a second to an hour"],
      [{ EVERBEAT_LEASE: "0 seconds" }, "EVERBEAT_LEASE: must be from a second to an hour"],
      [
        { EVERBEAT_STORE: "postgres://me:secret@127.0.0.1:1/x" },
        "Cannot use the store at postgres://127.0.0.1:1 (connect ECONNREFUSED 127.0.0.1:1)"
      ],
      [
        { EVERBEAT_STORE: "redis://me:secret@127.0.0.1:1" },
        "Cannot use the store at redis://127.0.0.1:1 (connect ECONNREFUSED 127.0.0.1:1)"
      ],
      [{ DISPATCH_AGENT_TOKENS: "triage" }, "DISPATCH_AGENT_TOKENS: entry 1 must have the form agent=token"],
      [{ DISPATCH_AGENT_TOKENS: "" }, "DISPATCH_AGENT_TOKENS: is empty"],
      [{ DISPATCH_AGENT_TOKENS: "a=x y" }, "DISPATCH_AGENT_TOKENS: entry 1 must have the form"],
      [{ DISPATCH_AGENT_TOKENS: "a=x,b=x" }, "DISPATCH_AGENT_TOKENS: a token belongs to one agent"],
      [
        { FORGE_URL: "https://user:secret@forge.example", FORGE_REPOS: "a/b" },
        "FORGE_URL: must not contain credentials"
      ],
      [{ FORGE_URL: "ftp://forge.example", FORGE_REPOS: "a/b" }, "FORGE_URL: must be an http or https URL"],
      [{ FORGE_REPOS: "acme" }, "FORGE_REPOS: 'acme' does not have the form owner/name"],
      [{ FORGE_URL: "https://api.github.com" }, "FORGE_REPOS: name the repositories to look after"],
      [{ PORT: "many" }, "PORT: must be a number up to 65535"],
      [{ PORT: "65536" }, "PORT: must be a number up to 65535"]
    ]
    // Processes that start all at once would take a busy machine longer than any limit.
    // Processes that start all at once would take a busy machine longer than any limit.
    const results = await Effect.runPromise(Effect.forEach(cases, ([env, expected]) =>
      Effect.promise(async () => {
        const host = run("main.ts", env)
        return { code: await host.ended, output: host.output(), expected }
      }), { concurrency: 3 }))
    for (const { code, expected, output } of results) {
      assert.strictEqual(code, 1, output)
      assert.include(output, "Dispatch cannot start: ")
      assert.include(output, expected)
      assert.notInclude(output, "    at ", "no stack trace")
      assert.notInclude(output, "secret")
      assert.strictEqual(output.trim().split("\n").length, 1, output)
    }
  }, 240_000)

  it("says which port is taken", async () => {
    const server = createServer()
    const port = await new Promise<number>((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resolve(typeof address === "object" && address !== null ? address.port : 0)
      })
    })
    const host = run("main.ts", { PORT: String(port) })
    assert.strictEqual(await host.ended, 1)
    assert.include(host.output(), `Cannot listen on port ${port}`)
    server.close()
  })
})
