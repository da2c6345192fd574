/**
 * The platform's cryptography, of which is known when it is at work: digests and ciphers of stored messages are computed on
 * threads, and a busy machine takes its time.
 */

export interface TrackedCrypto extends Crypto {
  /** Resolves at once when nothing is at work; otherwise when all that is has ended. Tells whether something was. */
  readonly rest: () => Promise<boolean>
}

export const make = (crypto: Crypto): TrackedCrypto => {
  const atWork = new Set<Promise<unknown>>()
  const tracked = <A>(work: A): A => {
    if (work instanceof Promise) {
      const settled = work.then(() => {}, () => {}).finally(() => atWork.delete(settled))
      atWork.add(settled)
    }
    return work
  }
  const subtle = new Proxy(crypto.subtle, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name)
      return typeof value === "function"
        ? (...input: ReadonlyArray<unknown>) => tracked(Reflect.apply(value, target, input))
        : value
    }
  })
  return {
    subtle,
    getRandomValues: (array) => crypto.getRandomValues(array),
    randomUUID: () => crypto.randomUUID(),
    rest: async () => {
      const wasAtWork = atWork.size > 0
      await Promise.all(atWork)
      return wasAtWork
    }
  }
}
