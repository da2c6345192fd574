import type { RunId } from "@everbeat/core/RunId"

/**
 * Run ids in ascending order. Ids of deleted runs stay until they outnumber
 * the others, so that deleting costs nothing: readers skip what is gone.
 */
export class RunOrder {
  private ids: Array<RunId> = []
  private readonly exists: (runId: RunId) => boolean
  private readonly count: () => number

  constructor(exists: (runId: RunId) => boolean, count: () => number) {
    this.exists = exists
    this.count = count
  }

  add(runId: RunId): void {
    if (this.ids.length > 1000 && this.ids.length > 2 * this.count()) this.ids = this.ids.filter(this.exists)
    const last = this.ids.at(-1)
    if (last === undefined || last < runId) {
      this.ids.push(runId)
      return
    }
    const index = this.indexOf(runId)
    if (this.ids[index] !== runId) this.ids.splice(index, 0, runId) // it may be there still, of a deleted run
  }

  /** From the newest to the oldest, beginning below an id. */
  *newest(below?: string): Iterable<RunId> {
    for (let index = (below === undefined ? this.ids.length : this.indexOf(below)) - 1; index >= 0; index--) {
      const runId = this.ids[index]
      if (runId !== undefined && this.exists(runId)) yield runId
    }
  }

  *oldest(): Iterable<RunId> {
    for (const runId of this.ids) if (this.exists(runId)) yield runId
  }

  /** Position of the first id that is not less. */
  private indexOf(id: string): number {
    let low = 0
    let high = this.ids.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.ids[middle] ?? "") < id) low = middle + 1
      else high = middle
    }
    return low
  }
}
