import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { fork } from "node:child_process"
import { once } from "node:events"
import { freshSchema, hostPool, poolerUrl, url } from "./support/database.ts"

/** A process of its own that starts on the schema it is told. */
const starter = (url: string, ...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const child = fork(new URL("support/firstStart.ts", import.meta.url), [url, ...args], {
        execArgv: ["--conditions=@everbeat/source", "--no-warnings"]
      })
      const answer = async (): Promise<unknown> => (await once(child, "message"))[0]
      assert.strictEqual(await answer(), "ready")
      return {
        child,
        start: (schema: string) => {
          const answered = answer()
          child.send(schema)
          return answered
        }
      }
    }),
    ({ child }) =>
      Effect.promise(async () => {
        const ended = once(child, "exit")
        child.disconnect()
        await ended
      })
  )

const migrationLock = "hashtextextended('everbeat migration of ' || $1, 0)"

describe("PostgresStore, in processes of their own", () => {
  it.live("starts in 6 of them at once on each of 20 fresh schemas", () =>
    Effect.gen(function*() {
      const starters = yield* Effect.forEach(Array.from({ length: 6 }), () => starter(url()), {
        concurrency: "unbounded"
      })
      const admin = yield* hostPool({ max: 1 })
      for (let round = 0; round < 20; round++) {
        const schema = freshSchema()
        // They all come as they like, or none migrates before each has seen that the schema is missing.
        const isHeld = round % 2 === 1
        const answers = yield* Effect.promise(async () => {
          if (isHeld) await admin.query(`select pg_advisory_lock(${migrationLock})`, [schema])
          const answers = Promise.all(starters.map(({ start }) => start(schema)))
          const waiting = async (): Promise<void> => {
            const { rows } = await admin.query<{ count: number }>(
              `select count(*)::int as count from pg_locks where locktype = 'advisory' and not granted
                and (classid::bigint << 32) | objid::bigint = ${migrationLock}`,
              [schema]
            )
            if ((rows[0]?.count ?? 0) < starters.length) await waiting()
          }
          if (isHeld) {
            await waiting()
            await admin.query(`select pg_advisory_unlock(${migrationLock})`, [schema])
          }
          return answers
        })
        assert.deepStrictEqual(answers, starters.map(() => "Begun"))
      }
    }).pipe(Effect.scoped), 60_000)

  it.live("starts in 6 of them at once behind a pooler", () =>
    Effect.gen(function*() {
      const starters = yield* Effect.forEach(Array.from({ length: 6 }), () => starter(poolerUrl(), "unprepared"), {
        concurrency: "unbounded"
      })
      for (let round = 0; round < 10; round++) {
        const schema = freshSchema()
        const answers = yield* Effect.promise(() => Promise.all(starters.map(({ start }) => start(schema))))
        assert.deepStrictEqual(answers, starters.map(() => "Begun"))
      }
    }).pipe(Effect.scoped), 60_000)
})
