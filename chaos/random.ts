/** Numbers that depend on a seed alone. */
export interface Random {
  /** From 0 up to, and without, 1. */
  readonly next: () => number
  readonly between: (from: number, to: number) => number
  readonly integer: (below: number) => number
  readonly pick: <A>(items: ReadonlyArray<A>) => A
  readonly shuffled: <A>(items: ReadonlyArray<A>) => Array<A>
}

/** mulberry32. */
export const random = (seed: number): Random => {
  const next = (): number => {
    seed = (seed + 0x6d2b79f5) | 0
    const mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    const twice = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((twice ^ (twice >>> 14)) >>> 0) / 4_294_967_296
  }
  const integer = (below: number): number => Math.floor(next() * below)
  const pick = <A>(items: ReadonlyArray<A>): A => {
    const item = items[integer(items.length)]
    if (item === undefined) throw new Error("there is nothing to pick from")
    return item
  }
  const shuffled = <A>(items: ReadonlyArray<A>): Array<A> => {
    const left = [...items]
    const all: Array<A> = []
    while (left.length > 0) all.push(...left.splice(integer(left.length), 1))
    return all
  }
  return { next, between: (from, to) => from + next() * (to - from), integer, pick, shuffled }
}
