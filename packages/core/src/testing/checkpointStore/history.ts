/**
 * Cases of histories and of the texts they hold.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { CheckpointStore } from "../../CheckpointStore.ts"
import { type Case, check } from "../Conformance.ts"
import * as Fixtures from "../internal/fixtures.ts"

// Texts that databases and encodings like to change. The escapes are what an encoder of JSON makes of the raw ones.
const texts: ReadonlyArray<readonly [what: string, text: string]> = [
  ["NUL", "a\u0000b"],
  ["an escaped NUL", "\"a\\u0000b\""],
  ["a lone high surrogate", "a\ud83db"],
  ["a lone low surrogate", "a\ude00b"],
  ["an escaped lone surrogate", "\"\\ud83d\""],
  ["emoji", "👩‍👩‍👧‍👦 é e\u0301 \ufeff\u2028"],
  ["line breaks and edges of white space", " \r\n\t \v "],
  ["__proto__", "{\"__proto__\":{\"polluted\":true},\"constructor\":1}"],
  ["quotes, backslashes and placeholders", "'; drop table x; -- \"\\ \\x00 $1 ? %s {0} ${x} {run}"],
  ["what looks like a number or null", "007"],
  ["the text null", "null"]
]

/**
 * What holds for the rows of a history.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "reads the history in the order of its segments",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      yield* store.save(lease, Fixtures.append(0, ["0", "1", "2", "3"]))
      yield* store.save(lease, { ...Fixtures.append(4, ["4"]), segments: [[3, 5], [0, 1], [1, 2]] })
      const checkpoint = yield* store.load(runId)

      assert.deepStrictEqual(checkpoint.messages, ["3", "4", "0", "1"])
      assert.deepStrictEqual(checkpoint.segments, [[3, 5], [0, 1], [1, 2]])
      assert.strictEqual(checkpoint.position, 5)
    })
  ),
  check(
    "replaces old messages by a summary without changing a row",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      yield* store.save(lease, Fixtures.append(0, ["0", "1", "2", "3"]))
      yield* store.save(lease, { ...Fixtures.append(4, ["summary"]), segments: [[4, 5], [3, 4]] })
      assert.deepStrictEqual((yield* store.load(runId)).messages, ["summary", "3"])

      yield* store.save(lease, { ...Fixtures.append(5, ["4"]), segments: [[4, 5], [3, 4], [5, 6]] })
      assert.deepStrictEqual((yield* store.load(runId)).messages, ["summary", "3", "4"])

      // The rows are still there: an owner may go back to them.
      yield* store.save(lease, Fixtures.append(6, []))
      assert.deepStrictEqual((yield* store.load(runId)).messages, ["0", "1", "2", "3", "summary", "4"])
    })
  ),
  check(
    "restarts the history from nothing",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      yield* store.save(lease, Fixtures.append(0, ["0", "1"]))
      yield* store.save(lease, { ...Fixtures.append(2, []), segments: [] })
      const empty = yield* store.load(runId)
      assert.deepStrictEqual(empty.messages, [])
      assert.strictEqual(empty.position, 2)

      yield* store.save(lease, { ...Fixtures.append(2, ["new"]), segments: [[2, 3]] })
      assert.deepStrictEqual((yield* store.load(runId)).messages, ["new"])
    })
  ),
  check(
    "repeats a row that two segments hold",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      yield* store.save(lease, { ...Fixtures.append(0, ["0", "1"]), segments: [[0, 2], [0, 1]] })

      assert.deepStrictEqual((yield* store.load(runId)).messages, ["0", "1", "0"])
    })
  ),
  check(
    "continues the numbering of rows under the next owner",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      yield* store.save(lease, Fixtures.append(0, ["0", "1"]))
      yield* store.release(lease)
      const { checkpoint, lease: next } = yield* Fixtures.takeOver(runId)
      assert.strictEqual(checkpoint.position, 2)
      yield* store.save(next, Fixtures.append(2, ["2"]))

      assert.deepStrictEqual((yield* store.load(runId)).messages, ["0", "1", "2"])
    })
  ),
  check(
    "keeps segments and phases as they were given, not what the caller makes of them later",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      const rows = ["0", "1"]
      const segments: Array<readonly [number, number]> = [[0, 2]]
      const completedPhases = ["plan"]
      yield* store.save(lease, Fixtures.append(0, rows, { segments, completedPhases }))
      rows.push("2")
      segments.push([0, 1])
      completedPhases.push("code")
      const checkpoint = yield* store.load(runId)

      assert.deepStrictEqual(checkpoint.messages, ["0", "1"])
      assert.deepStrictEqual(checkpoint.segments, [[0, 2]])
      assert.deepStrictEqual(checkpoint.completedPhases, ["plan"])
    })
  ),
  check(
    "does not change what was loaded before",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      yield* store.save(lease, Fixtures.append(0, ["0"]))
      const before = yield* store.load(runId)
      yield* store.save(lease, Fixtures.append(1, ["1"], { phase: "later" }))
      yield* store.release(lease)
      yield* Fixtures.takeOver(runId)

      assert.deepStrictEqual(before.messages, ["0"])
      assert.strictEqual(before.position, 1)
      assert.strictEqual(before.phase, "")
      assert.lengthOf(before.attempts, 1)
    })
  ),
  ...texts.map(([what, text]) =>
    check(
      `keeps ${what} in every text of a checkpoint`,
      Effect.gen(function*() {
        const store = yield* CheckpointStore
        const { lease, meta, runId } = yield* Fixtures.started({ meta: { prompt: text, payload: { text } } })
        yield* store.save(
          lease,
          Fixtures.append(0, [text, `${text}${text}`], {
            phase: text,
            completedPhases: [text],
            notes: text,
            workspace: text
          })
        )
        const checkpoint = yield* store.load(runId)

        // Compared as a whole text, a difference of a megabyte would be the message of the failure.
        assert.isTrue(checkpoint.messages[0] === text, "the first row")
        assert.isTrue(checkpoint.messages[1] === `${text}${text}`, "the second row")
        assert.isTrue(checkpoint.phase === text, "the phase")
        assert.isTrue(checkpoint.completedPhases[0] === text, "the completed phases")
        assert.isTrue(checkpoint.notes === text, "the notes")
        assert.isTrue(checkpoint.workspace === text, "the workspace")
        assert.isTrue(checkpoint.prompt === text, "the prompt")
        Fixtures.assertSameMeta(checkpoint, meta)
      })
    )
  ),
  check(
    "keeps a row of a megabyte",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      const row = JSON.stringify("äöü\\\"0123456789".repeat(65_536))
      yield* store.save(lease, Fixtures.append(0, ["before", row, "after"]))
      const { messages } = yield* store.load(runId)

      assert.isAbove(row.length, 1_000_000)
      assert.lengthOf(messages, 3)
      assert.isTrue(messages[1] === row, "the row is the same")
      assert.strictEqual(messages[2], "after")
      yield* store.delete(lease)
    })
  ),
  check(
    "keeps five thousand rows in order, saved at once and one by one",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      const rows = Array.from({ length: 5_000 }, (_, row) => `row ${row}`)
      yield* store.save(lease, Fixtures.append(0, rows.slice(0, 4_900)))
      for (let position = 4_900; position < rows.length; position += 10) {
        yield* store.save(lease, Fixtures.append(position, rows.slice(position, position + 10)))
      }
      const { messages, position } = yield* store.load(runId)

      assert.strictEqual(position, 5_000)
      assert.lengthOf(messages, 5_000)
      assert.isTrue(messages.every((message, row) => message === rows[row]), "every row is in its place")
      yield* store.delete(lease)
    })
  ),
  check(
    "keeps a hundred thousand rows, and two more",
    Effect.gen(function*() {
      const store = yield* CheckpointStore
      const { lease, runId } = yield* Fixtures.started()
      const rows = Array.from({ length: 100_000 }, (_, row) => `row ${row}`)
      yield* store.save(lease, Fixtures.append(0, rows))
      yield* store.save(lease, Fixtures.append(rows.length, ["one more", "another"]))
      const { messages, position } = yield* store.load(runId)

      assert.strictEqual(position, 100_002)
      assert.lengthOf(messages, 100_002)
      assert.isTrue(rows.every((row, at) => messages[at] === row), "every row is in its place")
      assert.deepStrictEqual(messages.slice(-2), ["one more", "another"])
      yield* store.delete(lease)
    })
  )
]
