/**
 * Group commit: requests of a kind that wait at the same time share a statement.
 * A request alone is sent at once; while every lane has a statement under way,
 * the others gather.
 */
import type { StoreError } from "@everbeat/core/StoreError"
import * as Effect from "effect/Effect"
import { maxRaces } from "./client.ts"
import { contention, isUndone, storeError } from "./errors.ts"
import type { Lanes } from "./lanes.ts"

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
  readonly key: string
  readonly size: number
  readonly resume: (effect: Effect.Effect<Answer, StoreError>) => void
  races: number
  isAbandoned: boolean
}

const maxRequests = 64
const maxSize = 1_000_000

/**
 * Resumes callers, who go on at once. What one of them throws there is not an error of the statement, which must not be
 * sent again, and not one of the others: it is thrown when all have their answers.
 */
const answer = <Request, Answer>(
  batch: ReadonlyArray<Waiting<Request, Answer>>,
  answerOf: (waiting: Waiting<Request, Answer>, index: number) => Effect.Effect<Answer, StoreError> | undefined
): void => {
  const thrown: Array<unknown> = []
  for (const [index, waiting] of batch.entries()) {
    const found = answerOf(waiting, index)
    if (found === undefined) continue
    try {
      waiting.resume(found)
    } catch (cause) {
      thrown.push(cause)
    }
  }
  if (thrown.length > 0) throw thrown[0]
}

export const make = <Request, Answer>(
  lanes: Lanes,
  { keyOf, operation, send, sizeOf }: Options<Request, Answer>
): (request: Request) => Effect.Effect<Answer, StoreError> => {
  let queue: Array<Waiting<Request, Answer>> = []
  let busy = 0
  let scheduled = false

  const next = (): ReadonlyArray<Waiting<Request, Answer>> => {
    const batch: Array<Waiting<Request, Answer>> = []
    const rest: Array<Waiting<Request, Answer>> = []
    const keys = new Set<string>()
    const most = Math.min(maxRequests, lanes.share(queue.length))
    let size = 0
    let index = 0
    for (; index < queue.length && batch.length < most; index++) {
      const waiting = queue[index]
      if (waiting === undefined) continue
      if (keys.has(waiting.key) || (batch.length > 0 && size + waiting.size > maxSize)) {
        rest.push(waiting)
      } else {
        batch.push(waiting)
        size += waiting.size
      }
      keys.add(waiting.key) // a later request of a key never overtakes an earlier one
    }
    queue = [...rest, ...queue.slice(index)]
    // Every process locks rows in one order.
    return batch.sort((a, b) => a.key < b.key ? -1 : 1)
  }

  const flush = async (batch: ReadonlyArray<Waiting<Request, Answer>>): Promise<void> => {
    let answers: ReadonlyArray<Answer | undefined>
    try {
      answers = await send(batch.map(({ request }) => request))
    } catch (cause) {
      if (batch.length === 1 || !isUndone(cause)) {
        const error = storeError(operation, cause)
        return answer(batch, () => Effect.fail(error))
      }
      // Whose fault it was shows when each is alone.
      await Promise.all(batch.filter(({ isAbandoned }) => !isAbandoned).map((waiting) => flush([waiting])))
      return
    }
    const again: Array<Waiting<Request, Answer>> = []
    try {
      answer(batch, (waiting, index) => {
        const found = answers[index]
        if (found !== undefined) return Effect.succeed(found)
        if (waiting.isAbandoned) return undefined
        if (++waiting.races >= maxRaces) return Effect.fail(contention(operation))
        again.push(waiting)
        return undefined
      })
    } finally {
      queue = [...again, ...queue]
    }
  }

  const pump = (): void => {
    scheduled = false
    while (queue.length > 0 && lanes.isOpen(busy)) {
      const batch = next()
      busy++
      lanes.enter()
      void flush(batch).finally(() => {
        busy--
        lanes.leave()
      })
    }
  }
  lanes.onLeave(pump)

  return (request) =>
    Effect.callback<Answer, StoreError>((resume) => {
      const waiting: Waiting<Request, Answer> = {
        request,
        key: keyOf(request),
        size: sizeOf(request),
        resume,
        races: 0,
        isAbandoned: false
      }
      queue.push(waiting)
      if (!scheduled && lanes.isOpen(busy)) {
        scheduled = true
        queueMicrotask(pump)
      }
      // What was sent already may still land: a caller that is interrupted finds the old or the new state.
      return Effect.sync(() => {
        waiting.isAbandoned = true
        queue = queue.filter((other) => other !== waiting)
      })
    })
}
