/**
 * Group commit: requests that wait at the same time share a statement. A
 * request alone is sent at once; while every lane has a statement under way,
 * the others gather.
 */
import type { StoreError } from "@everbeat/core/StoreError"
import * as Effect from "effect/Effect"
import { maxRaces } from "./client.ts"
import { contention, storeError } from "./errors.ts"

export interface Options<Request, Answer> {
  readonly operation: string
  /** Two requests with one key never share a statement. */
  readonly keyOf: (request: Request) => string
  /** About how many characters a request sends. */
  readonly sizeOf: (request: Request) => number
  /** Answers in the order of the requests; `undefined` for one that lost a race and is to be repeated. */
  readonly send: (requests: ReadonlyArray<Request>) => Promise<ReadonlyArray<Answer | undefined>>
}

interface Waiting<Request, Answer> {
  readonly request: Request
  readonly resume: (effect: Effect.Effect<Answer, StoreError>) => void
  races: number
}

const lanes = 2
const maxRequests = 64
const maxSize = 1_000_000

export const make = <Request, Answer>(
  { keyOf, operation, send, sizeOf }: Options<Request, Answer>
): (request: Request) => Effect.Effect<Answer, StoreError> => {
  let queue: Array<Waiting<Request, Answer>> = []
  let busy = 0
  let scheduled = false

  const next = (): ReadonlyArray<Waiting<Request, Answer>> => {
    const batch: Array<Waiting<Request, Answer>> = []
    const rest: Array<Waiting<Request, Answer>> = []
    const keys = new Set<string>()
    let size = 0
    for (const waiting of queue) {
      const key = keyOf(waiting.request)
      const cost = sizeOf(waiting.request)
      if (batch.length >= maxRequests || keys.has(key) || (batch.length > 0 && size + cost > maxSize)) {
        rest.push(waiting)
      } else {
        batch.push(waiting)
        size += cost
      }
      keys.add(key) // a later request of a key never overtakes an earlier one
    }
    queue = rest
    // Every process locks rows in one order.
    return batch.sort((a, b) => keyOf(a.request) < keyOf(b.request) ? -1 : 1)
  }

  const flush = async (batch: ReadonlyArray<Waiting<Request, Answer>>): Promise<void> => {
    try {
      const answers = await send(batch.map(({ request }) => request))
      const again: Array<Waiting<Request, Answer>> = []
      for (const [index, waiting] of batch.entries()) {
        const answer = answers[index]
        if (answer !== undefined) waiting.resume(Effect.succeed(answer))
        else if (++waiting.races >= maxRaces) waiting.resume(Effect.fail(contention(operation)))
        else again.push(waiting)
      }
      queue = [...again, ...queue]
    } catch (cause) {
      const error = storeError(operation, cause)
      if (batch.length === 1 || error.reason !== "refused") {
        for (const { resume } of batch) resume(Effect.fail(error))
      } else {
        // The server refused the statement, so nothing of it happened: whose fault it was shows when each is alone.
        await Promise.all(batch.map((waiting) => flush([waiting])))
      }
    }
  }

  const pump = (): void => {
    scheduled = false
    while (busy < lanes && queue.length > 0) {
      busy++
      void flush(next()).finally(() => {
        busy--
        pump()
      })
    }
  }

  return (request) =>
    Effect.callback<Answer, StoreError>((resume) => {
      const waiting: Waiting<Request, Answer> = { request, resume, races: 0 }
      queue.push(waiting)
      if (!scheduled && busy < lanes) {
        scheduled = true
        queueMicrotask(pump)
      }
      // What was sent already may still land: a caller that is interrupted finds the old or the new state.
      return Effect.sync(() => {
        queue = queue.filter((other) => other !== waiting)
      })
    })
}
