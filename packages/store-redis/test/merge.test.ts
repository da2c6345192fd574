import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Batch, mergePage, type Source } from "../src/internal/merge.ts"

const compare = (a: number, b: number): number => a - b

/** A source of numbers that answers so many at once, and counts how often it was asked. */
const sourceOf = (numbers: ReadonlyArray<number>, size: number) => {
  const asked = { count: 0 }
  const source: Source<number> = (after, want) =>
    Effect.sync((): Batch<number> => {
      asked.count++
      const rest = numbers.filter((value) => value > after)
      const items = rest.slice(0, Math.min(size, want))
      return { items, last: items.at(-1) ?? after, done: items.length === rest.length }
    })
  return { source, asked }
}

/** A source that looks and looks and finds nothing. */
const barren: Source<number> = (after) => Effect.succeed({ items: [], last: after + 10, done: false })

describe("mergePage", () => {
  it.effect("merges sources in order, on pages of any size, whatever they answer at once", () =>
    Effect.gen(function*() {
      const parts = [[1, 5, 9, 13], [2, 3, 4], [], [7, 8, 20, 21, 22]]
      const sorted = parts.flat().toSorted(compare)
      for (const size of [1, 2, 3, 100]) {
        for (const limit of [1, 2, 3, 5, 12, 50]) {
          const seen: Array<number> = []
          let start: number | undefined = 0
          while (start !== undefined) {
            const sources = parts.map((part) => sourceOf(part, size).source)
            const page: { readonly items: ReadonlyArray<number>; readonly next: number | undefined } = yield* mergePage(
              sources,
              start,
              limit,
              compare
            )
            assert.isTrue(page.next === undefined || page.items.length === limit)
            seen.push(...page.items)
            start = page.next
          }
          assert.deepStrictEqual(seen, sorted)
        }
      }
    }))

  it.effect("asks each source once for a page", () =>
    Effect.gen(function*() {
      const sources = [[1, 3, 5], [2, 4, 6]].map((numbers) => sourceOf(numbers, 100))
      const { items, next } = yield* mergePage(sources.map(({ source }) => source), 0, 4, compare)

      assert.deepStrictEqual(items, [1, 2, 3, 4])
      assert.strictEqual(next, 4)
      assert.deepStrictEqual(sources.map(({ asked }) => asked.count), [1, 1])
    }))

  it.effect("ends a page that takes too much looking early, and goes on from there", () =>
    Effect.gen(function*() {
      const { source } = sourceOf([1, 15, 1000], 100)
      const first = yield* mergePage([source, barren], 0, 10, compare)
      assert.deepStrictEqual(first.items, [1, 15])
      assert(first.next !== undefined)
      assert.isBelow(first.next, 1000)

      const second = yield* mergePage([source, barren], first.next, 10, compare)
      assert.isAbove(second.next ?? 0, first.next)
    }))

  it.effect("gives an item once that two sources know", () =>
    Effect.gen(function*() {
      const sources = [[1, 2, 3], [2, 3]].map((numbers) => sourceOf(numbers, 1).source)

      assert.deepStrictEqual((yield* mergePage(sources, 0, 10, compare)).items, [1, 2, 3])
    }))
})
