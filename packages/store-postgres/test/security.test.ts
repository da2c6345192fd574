/** What somebody can do who may write texts through the store, and somebody who may write its tables beside it. */
import { assert, describe, it } from "@effect/vitest"
import type { AgentName } from "@everbeat/core/AgentName"
import type { RunId } from "@everbeat/core/RunId"
import { Effect } from "effect"
import { append, begun, freshStore, inputOf, recordOf } from "./support/fixtures.ts"

/** SQL in every place that takes a text, and what `LIKE`, `format` and identifiers read in another way. */
const hostileFor = (schema: string): ReadonlyArray<string> => [
  `'; drop schema "${schema}" cascade; --`,
  `"; drop schema "${schema}" cascade; --`,
  `\\'; drop schema "${schema}" cascade; --`,
  `') or true --`,
  `$1; drop schema "${schema}" cascade`,
  `$$; drop schema "${schema}" cascade; $$`,
  "%",
  "_",
  "%s %I",
  "{},{}",
  "\0'; select pg_sleep(1000); --",
  "0x00"
]

describe("security: PostgresStore", () => {
  it.live("takes every text for a text, in writes, filters, cursors and ids", () =>
    Effect.gen(function*() {
      const { checkpoints, pool, runs, schema } = yield* freshStore()
      const bystander = yield* begun(checkpoints)
      for (const text of hostileFor(schema)) {
        const input = inputOf({ owner: text, meta: { callerId: text, channelId: text, prompt: text } })
        const lease = yield* begun(checkpoints, input)
        const more = { phase: text, completedPhases: [text], notes: text, workspace: text }
        yield* checkpoints.save(lease, append(0, [text, text], more))
        assert.deepInclude(yield* checkpoints.load(lease.runId), { ...more, messages: [text, text] })
        const listed = yield* runs.list({ callerId: text })
        assert.deepStrictEqual(listed.items.map(({ runId }) => runId), [lease.runId])
        const found = yield* checkpoints.listInterrupted({ callerId: text, channelId: text, status: ["running"] })
        assert.deepStrictEqual(found.items.map(({ runId }) => runId), [lease.runId])
        // What a caller without the type checker can send. A typed refusal will do.
        const id = JSON.parse(JSON.stringify(text)) as RunId & AgentName
        yield* runs.list({ agentName: id, status: JSON.parse(JSON.stringify([text])) }, { cursor: text }).pipe(
          Effect.result
        )
        yield* checkpoints.listInterrupted({ parentRunId: id }, { cursor: text }).pipe(Effect.result)
        assert.strictEqual((yield* Effect.flip(runs.get(id)))._tag, "RunNotFound")
        yield* checkpoints.settle(lease, recordOf(input))
        assert.strictEqual(yield* runs.erase({ callerId: text }), 1)
      }
      // Nothing was dropped, and nothing else was erased.
      const { rows } = yield* Effect.promise(() => pool.query(`select run_id from "${schema}".run`))
      assert.deepStrictEqual(rows, [{ run_id: bystander.runId }])
    }).pipe(Effect.scoped))

  it.live("is not led astray by a row that somebody else wrote: it fails alone, or is read as nothing more than text", () =>
    Effect.gen(function*() {
      const { checkpoints, pool, runs, schema } = yield* freshStore()
      const good = yield* begun(checkpoints)
      const columns = {
        meta: [`{"__proto__":{"polluted":1}}`, "[]", `{"runId":"x"}`, "null"],
        segments: ["[[0,9999999999]]", "[[9999999999,0]]", "[[-1,5]]", `[[0,1],[0,1],"x"]`, `{"__proto__":1}`],
        completed: [`{"length":1e9}`, `{"__proto__":["a"]}`, "1"],
        past: [`{"number":1}`, `{"__proto__":{"polluted":1}}`, `]`]
      }
      for (const [column, values] of Object.entries(columns)) {
        for (const value of values) {
          const lease = yield* begun(checkpoints)
          yield* checkpoints.save(lease, append(0, ["a"]))
          yield* Effect.promise(() =>
            pool.query(`update "${schema}".run set ${column} = $1 where run_id = $2`, [value, lease.runId])
          )
          const answer = yield* Effect.result(checkpoints.load(lease.runId))
          if (answer._tag === "Failure") {
            assert.deepInclude(answer.failure, { _tag: "StoreError", reason: "corrupt" }, `${column} ${value}`)
          } else {
            assert.isAtMost(answer.success.messages.length, 2)
          }
          const { items } = yield* runs.list()
          assert.isTrue(items.some(({ runId }) => runId === good.runId))
        }
      }
      assert.isUndefined(Reflect.get({}, "polluted"))
    }).pipe(Effect.scoped))
})
