/** Pages of runs that are bounded by what they weigh, not by their count alone. */
import type { AgentRun, RunInFlight } from "@everbeat/core/AgentRun"
import { isRunId } from "@everbeat/core/RunId"
import type { RunFilter, RunStore } from "@everbeat/core/RunStore"
import type { StoreError } from "@everbeat/core/StoreError"
import * as Effect from "effect/Effect"
import * as Problem from "../Problem.ts"
import { limited } from "./storeLimit.ts"

type Run = AgentRun | RunInFlight

/** About how much JSON one page holds; a run that is longer is a page of its own. */
const maxPageBytes = 1_048_576

/** Runs that are asked of the store at once: the rest is asked for only when the page has room. */
const batchSize = 25

export const listRuns = Effect.fnUntraced(function*(
  runs: RunStore["Service"],
  filter: RunFilter,
  { cursor, limit = 50 }: { readonly limit?: number | undefined; readonly cursor?: string | undefined }
): Effect.fn.Return<
  { readonly items: ReadonlyArray<Run>; readonly next?: string },
  StoreError | Problem.InvalidRequest
> {
  if (cursor !== undefined && !isRunId(cursor)) {
    return yield* new Problem.InvalidRequest({ detail: "query.cursor: Send the 'next' of the page before, or none." })
  }
  const items: Array<Run> = []
  let bytes = 0
  let next: string | undefined = cursor
  do {
    const page = yield* limited(
      "list",
      () => runs.list(filter, { limit: Math.min(limit - items.length, batchSize), cursor: next })
    )
    for (const run of page.items) {
      bytes += byteLength(run)
      const last = items.at(-1)
      // A cursor is the id of the last run of its page.
      if (bytes > maxPageBytes && last !== undefined) return { items, next: last.runId }
      items.push(run)
    }
    next = page.items.length === 0 ? undefined : page.next
  } while (next !== undefined && items.length < limit)
  return next === undefined ? { items } : { items, next }
})

const byteLength = (run: Run): number => new TextEncoder().encode(JSON.stringify(run)).byteLength
