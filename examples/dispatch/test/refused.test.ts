/** `npm run dispatch` with a database that does not let it in, or that is not there. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { join } from "node:path"
import { inject } from "vitest"
import { lockedPostgres, lockedRedis } from "./support/locked.ts"

/** What a host with this store prints, and its exit code. It is to end by itself. */
const started = (store: string) =>
  Effect.promise(async () => {
    const { NODE_OPTIONS: _, VITEST: __, ...inherited } = process.env
    const child = spawn(
      process.execPath,
      ["--conditions=@everbeat/source", join(import.meta.dirname, "../src/main.ts")],
      { env: { ...inherited, PORT: "0", EVERBEAT_STORE: store }, stdio: ["ignore", "pipe", "pipe"] }
    )
    let output = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text
      })
    }
    const [code] = await once(child, "close")
    return { code, output }
  })

/** Takes connections and says nothing. */
const silent = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    return { server, at: `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}` }
  }),
  ({ server }) => Effect.sync(() => server.close())
)

it.live(
  "says in one line why the database cannot be used, without the password, and ends with 1",
  () =>
    Effect.scoped(Effect.gen(function*() {
      const postgres = yield* lockedPostgres
      const redis = yield* lockedRedis
      const { at } = yield* silent
      const open = new URL(inject("dispatchStores").redis).host
      const cases: ReadonlyArray<readonly [string, RegExp]> = [
        [`postgres://me:wrong-s3cret@${postgres}/postgres`, /password authentication failed/],
        [`postgres://me:s3cret@${postgres}/missing`, /database "missing" does not exist/],
        [`postgres://me:s3cret@${postgres}/postgres`, /permission denied/],
        ["postgres://me:s3cret@missing.invalid/x", /ENOTFOUND|EAI_AGAIN/],
        [`postgres://me:s3cret@${at}/x`, /timeout/],
        [`redis://:wrong-s3cret@${redis}`, /WRONGPASS/],
        [`redis://${redis}`, /NOAUTH/],
        [`redis://:s3cret@${redis}/99`, /DB index is out of range/],
        ["redis://:s3cret@missing.invalid", /ENOTFOUND|EAI_AGAIN/],
        [`redis://:s3cret@${at}`, /does not answer/],
        [`rediss://:s3cret@${open}`, /.+/]
      ]
      yield* Effect.forEach(cases, ([store, reason]) =>
        Effect.gen(function*() {
          const { code, output } = yield* started(store)
          assert.strictEqual(code, 1, output)
          const [line = "", ...others] = output.trim().split("\n")
          assert.deepStrictEqual(others, [], output)
          assert.match(
            line,
            /^Dispatch cannot start: Cannot use the store at (postgres|rediss?):\/\/[^/@\s]+ \(.+\)\. Check /
          )
          assert.match(line, reason)
          assert.notInclude(line, "s3cret")
        }), { concurrency: 4, discard: true })
    })),
  240_000
)
