/**
 * Cases of histories that a checkpointer keeps on the store.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Json } from "effect/Schema"
import * as Checkpointer from "../../Checkpointer.ts"
import { CheckpointStore } from "../../CheckpointStore.ts"
import { type Case, check } from "../Conformance.ts"
import * as Agents from "../internal/agents.ts"
import * as Fixtures from "../internal/fixtures.ts"

/** The same numbers at every run of a seed. */
const numbers = (seed: number) => (below: number): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return Math.floor(((t ^ (t >>> 14)) >>> 0) / 4294967296 * below)
}

type Messages = ReadonlyArray<Json>

const edits: Readonly<Record<string, (before: Messages, n: number, at: number, to: number) => Messages>> = {
  append: (before, n) => [...before, Agents.user(`a ${n}`), Agents.user(`b ${n}`)],
  "append again": (before, n) => [...before, Agents.user(`c ${n}`)],
  "append once more": (before, n) => [...before, Agents.user(`d ${n}`)],
  compact: (before, n, at) => [Agents.user(`summary ${n}`), ...before.slice(at)],
  delete: (before, _, at) => before.toSpliced(at, 1),
  edit: (before, n, at) => before.length === 0 ? before : before.with(at, Agents.user(`edited ${n}`)),
  truncate: (before) => before.slice(0, -3),
  duplicate: (before, _, at, to) => before.toSpliced(to, 0, ...before.slice(at, at + 1)),
  reorder: (before, _, at) => [...before.slice(at), ...before.slice(0, at)],
  insert: (before, n, at) => before.toSpliced(at, 0, Agents.user(`inserted ${n}`)),
  copy: (before) => structuredClone(before),
  clear: (before, _, at, to) => at === to ? [] : before
}
const kinds = Object.values(edits)

/**
 * What holds for the history of a checkpointer, whatever is done to it.
 *
 * @category testing
 * @since 0.1.0
 */
export const cases: ReadonlyArray<Case> = [
  check(
    "reads back a history whatever was done to it, in whatever process, and writes what is new only",
    Effect.gen(function*() {
      for (let seed = 1; seed <= 6; seed++) {
        const pick = numbers(seed)
        let current = yield* Agents.process
        const options = { ...Agents.patient, throttle: "1 hour" } as const // what is not flushed goes with what comes next
        let checkpointer = yield* current.run(Agents.agent({ ...options, maxAttempts: 1000 }))
        const { runId } = checkpointer
        yield* checkpointer.save({ phase: "first of its window" })
        yield* checkpointer.flush
        let messages: Messages = []
        let before = { texts: new Set<string>(), position: 0 }
        for (let n = 0; n < 40; n++) {
          const edit = kinds[pick(kinds.length)] ?? assert.fail()
          messages = edit(messages, n, pick(messages.length), pick(messages.length))
          yield* checkpointer.save({ messages, iteration: n })
          if (pick(4) === 0 && n % 10 !== 9) continue
          const { position } = yield* checkpointer.flush
          const { checkpoint, values } = yield* Agents.stored(runId)
          assert.deepStrictEqual(values, [...messages])
          assert.strictEqual(checkpoint.iteration, n)
          const texts = new Set(messages.map((message) => JSON.stringify(message)))
          const isRewritten = checkpoint.segments[0]?.[0] === before.position && before.position > 0
          const fresh = [...texts].filter((text) => !before.texts.has(text)).length
          if (!isRewritten) assert.isAtMost(position - before.position, fresh)
          before = { texts, position }
          if (n % 10 === 9) {
            yield* current.end
            current = yield* Agents.process
            checkpointer = yield* current.run(Checkpointer.claim({ ...options, runId }))
            yield* checkpointer.save({ phase: `first of window ${n}` })
            yield* checkpointer.flush
            assert.deepStrictEqual(checkpointer.resumed?.messages, [...messages])
            messages = checkpointer.resumed?.messages ?? []
          }
        }
        yield* checkpointer.complete()
        yield* current.end
      }
    })
  ),
  check(
    "lets two forks of one run keep their own messages",
    Effect.scoped(Effect.gen(function*() {
      const parent = yield* Agents.agent()
      yield* parent.save({ messages: [Agents.user("shared 1"), Agents.user("shared 2")] })
      yield* parent.flush
      const { values } = yield* Agents.stored(parent.runId)
      const shared = values as Messages
      const fork = (name: string) =>
        Effect.gen(function*() {
          const agentName = yield* Fixtures.freshAgent
          const branch = yield* Agents.agent({ meta: { agentName, parentRunId: parent.runId } })
          yield* branch.save({ messages: [...shared, Agents.user(`branch ${name}`)] })
          yield* branch.flush
          yield* branch.save({ messages: [...shared, Agents.user(`branch ${name}`), Agents.user(`more ${name}`)] })
          yield* branch.flush
          return branch.runId
        })
      const [a, b] = yield* Effect.all([fork("A"), fork("B")], { concurrency: "unbounded" })

      const of = (name: string) => [...shared, Agents.user(`branch ${name}`), Agents.user(`more ${name}`)]
      assert.deepStrictEqual((yield* Agents.stored(a)).values, of("A"))
      assert.deepStrictEqual((yield* Agents.stored(b)).values, of("B"))
      assert.deepStrictEqual((yield* Agents.stored(parent.runId)).values, [...shared])
    }))
  ),
  check(
    "lets one of two processes continue an interrupted run, so that its effect happens once",
    Effect.gen(function*() {
      const first = yield* Agents.process
      const { runId } = yield* first.run(
        Effect.tap(Agents.agent(), (checkpointer) => checkpointer.save({ iteration: 1 }))
      )
      yield* first.end
      let effects = 0
      const worker = (name: string) =>
        Effect.scoped(Effect.gen(function*() {
          const checkpointer = yield* Checkpointer.claim({ ...Agents.patient, runId })
          effects++
          yield* checkpointer.save({ messages: [Agents.user(name)], iteration: 2 })
          yield* checkpointer.flush
          yield* checkpointer.complete({ summary: name })
        }))
      const results = yield* Fixtures.race([worker("one"), worker("two"), worker("three")])

      assert.strictEqual(effects, 1)
      assert.lengthOf(results.filter(({ _tag }) => _tag === "Success"), 1)
    })
  ),
  check(
    "keeps ten thousand messages, and adds two to them by writing two",
    Effect.scoped(Effect.gen(function*() {
      const store = yield* CheckpointStore
      const checkpointer = yield* Agents.agent()
      const messages = Array.from({ length: 10_000 }, (_, n) => `message ${n}`)
      yield* checkpointer.save({ messages })
      assert.strictEqual((yield* checkpointer.flush).position, 10_000)
      messages.push("one more", "and another")
      yield* checkpointer.save({ messages })
      assert.strictEqual((yield* checkpointer.flush).position, 10_002)

      const { values } = yield* Agents.stored(checkpointer.runId)
      assert.lengthOf(values, 10_002)
      assert.isTrue(values.every((value, n) => value === messages[n]), "every message is in its place")
      if (checkpointer.lease !== undefined) yield* store.delete(checkpointer.lease)
    }))
  )
]
