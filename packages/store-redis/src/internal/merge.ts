import type { StoreError } from "@everbeat/core/StoreError"
import * as Effect from "effect/Effect"

/** What a source found: items in order, the place up to which it looked, and whether that is its end. */
export interface Batch<P> {
  readonly items: ReadonlyArray<P>
  readonly last: P
  readonly done: boolean
}

/** Finds up to `want` items after a place. */
export type Source<P> = (after: P, want: number) => Effect.Effect<Batch<P>, StoreError>

interface State<P> {
  readonly source: Source<P>
  items: ReadonlyArray<P>
  /** Items that were taken. */
  used: number
  last: P
  done: boolean
}

/** Questions to sources that one page may cost, besides the first to each: a filter that fits nothing must end. */
const maxCalls = 40

/**
 * One page of several sources, in order. Each source is asked for a page at
 * once, and again when what it found is used up. A page that takes too much
 * looking ends early: `next` then says how far it got.
 */
export const mergePage = <P>(
  sources: ReadonlyArray<Source<P>>,
  start: P,
  limit: number,
  compare: (a: P, b: P) => number
): Effect.Effect<{ readonly items: ReadonlyArray<P>; readonly next: P | undefined }, StoreError> =>
  Effect.gen(function*() {
    const states = sources.map((source): State<P> => ({ source, items: [], used: 0, last: start, done: false }))
    const fill = (state: State<P>) =>
      Effect.map(state.source(state.last, limit + 1), (batch) => Object.assign(state, batch, { used: 0 }))
    const items: Array<P> = []
    let left = sources.length + maxCalls
    for (;;) {
      const hungry = states.filter(isHungry)
      if (hungry.length === 0) return { items, next: undefined }
      left -= hungry.length
      if (left < 0) {
        // Everything up to the place that the slowest source has reached was seen.
        return { items, next: hungry.map(({ last }) => last).reduce((a, b) => compare(a, b) <= 0 ? a : b) }
      }
      yield* Effect.forEach(hungry, fill, { concurrency: "unbounded", discard: true })
      for (;;) {
        const first = firstOf(states, compare)
        if (first === undefined) break
        const previous = items.at(-1)
        if (items.length >= limit && previous !== undefined) return { items, next: previous }
        // A source that has found nothing yet may still have something before this.
        if (states.some((state) => isHungry(state) && compare(first.item, state.last) > 0)) break
        first.state.used++
        // A lease may have ended between two looks: then two sources know the run.
        if (previous === undefined || compare(previous, first.item) !== 0) items.push(first.item)
      }
    }
  })

/** Whether a source must be asked again before it is known what it has. */
const isHungry = <P>(state: State<P>): boolean => state.used >= state.items.length && !state.done

const firstOf = <P>(states: ReadonlyArray<State<P>>, compare: (a: P, b: P) => number) => {
  let first: { readonly state: State<P>; readonly item: P } | undefined
  for (const state of states) {
    const item = state.items[state.used]
    if (item !== undefined && (first === undefined || compare(item, first.item) < 0)) first = { state, item }
  }
  return first
}
