/** The way into a handler that adapters of this package take instead of `fetch`: nobody makes web objects to read them. */
import type { HttpServerResponse } from "effect/http/HttpServerResponse"

/** What a handler looks at of a request. A web `Request` is one. */
export interface Incoming {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  readonly body: ReadableStream<Uint8Array> | null
  readonly bodyUsed: boolean
  readonly signal: AbortSignal
}

/** Answers a request; `written` resolves when nothing of the answer is left in this process. It never rejects. */
export type Exchange = (request: Incoming, written: Promise<void> | undefined) => Promise<HttpServerResponse>

const exchanges = new WeakMap<object, Exchange>()

/** Known by its function: who puts another one in its place, such as a guard, is asked. */
export const offerExchange = (fetch: object, exchange: Exchange): void => {
  exchanges.set(fetch, exchange)
}

/** Nothing for the functions of others, also of those that only call one of this package. */
export const exchangeOf = (fetch: object): Exchange | undefined => exchanges.get(fetch)
