/**
 * What a worker has seen, line by line: written and synced to the disk before the worker goes on, so that a kill loses
 * none of what the store had acknowledged to it.
 */
import { closeSync, fdatasyncSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs"
import { join } from "node:path"

/** One row of a history, as a digest. */
export interface RowSeen {
  readonly row: number
  readonly digest: string
  /** Of the outcome of a step: which step, and when it began by the clock of its process. */
  readonly step?: { readonly name: string; readonly startedAt: string } | undefined
}

/** A lease as the store handed it out. */
interface OfLease {
  readonly run: string
  readonly owner: string
  readonly fence: number
}

/** A call of the store that was answered: sent at `t0`, answered at `t`. */
interface Answered {
  readonly t0: number
}

type Each<E extends string, Fields> = E extends string ? { readonly e: E } & Fields : never

/** What is acknowledged, what was tried, and what the code of the host did. `t` is monotonic, in microseconds, and the same for all processes. */
export type Entry =
  | { readonly e: "up"; readonly skew: string; readonly pool: number }
  /** A write that ends a lease is about to be sent. */
  | { readonly e: "asked"; readonly op: "settle" | "release" | "delete" } & OfLease
  | {
    readonly e: "granted"
    readonly how: "begun" | "begin" | "claim" | "claimNext"
    readonly kind: string
    readonly agent: string
    readonly key: string | undefined
    readonly exhausted: boolean
    readonly position: number
    readonly iteration: number
    readonly rows: ReadonlyArray<RowSeen>
  }
    & OfLease
    & Answered
  | {
    readonly e: "saved"
    readonly position: number
    readonly iteration: number | undefined
    readonly rows: ReadonlyArray<RowSeen>
  }
    & OfLease
    & Answered
  | Each<"renewed" | "released" | "deleted", OfLease & Answered>
  | { readonly e: "settled"; readonly status: string } & OfLease & Answered
  /** The store said no. Of a conflict: which row is the next one there. */
  | {
    readonly e: "refused"
    readonly op: string
    readonly why: string
    readonly position?: number | undefined
  }
    & OfLease
    & Answered
  /** Nobody knows what became of it. */
  | {
    readonly e: "unanswered"
    readonly op: string
    readonly why: string
    readonly run: string
    readonly fence: number
  } & Answered
  /** A step of a pass begins. */
  | { readonly e: "step"; readonly run: string; readonly fence: number; readonly step: string; readonly sync: boolean }
  /** An attempt of an agent begins, with what it was given. */
  | {
    readonly e: "attempt"
    readonly run: string
    readonly fence: number
    readonly attempt: number
    readonly iteration: number
    readonly messages: ReadonlyArray<string>
  }
  /** The agent was told that this is durable. */
  | {
    readonly e: "flushed"
    readonly run: string
    readonly fence: number
    readonly iteration: number
    readonly messages: ReadonlyArray<string>
  }
  /** A tool changed something, and later: the agent was told that the outcome of the call is durable. */
  | Each<"did" | "kept", { readonly run: string; readonly fence: number; readonly call: string }>
  /** A caller has got the report of a pass, or the record of an agent. */
  | {
    readonly e: "reported"
    readonly run: string
    readonly agent: string
    readonly key: string | undefined
    readonly status: string
    readonly origin: string
    readonly recorded: boolean
  }
  /** A caller was told of a failure that has a type, or of one that nobody expects. */
  | { readonly e: "told"; readonly what: string }
  | { readonly e: "defect"; readonly what: string }
  | { readonly e: "stopped" }

export type Line = Entry & { readonly w: string; readonly t: number }

/** Monotonic microseconds: the same clock in every process of the machine, and none that can be set. */
export const micros = (): number => Number(process.hrtime.bigint() / 1000n)

export interface Journal {
  readonly write: (...entries: ReadonlyArray<Entry>) => void
  readonly close: () => void
}

export const openJournal = (folder: string, worker: string): Journal => {
  const file = openSync(join(folder, `${worker}.jsonl`), "a")
  return {
    write: (...entries) => {
      const t = micros()
      writeSync(file, entries.map((entry) => `${JSON.stringify({ ...entry, w: worker, t })}\n`).join(""))
      fdatasyncSync(file)
    },
    close: () => closeSync(file)
  }
}

/** Every line of every worker, in the order of time. A line that a kill cut in two was never acknowledged to anybody. */
export const readJournals = (folder: string): ReadonlyArray<Line> =>
  readdirSync(folder)
    .flatMap((file) => readFileSync(join(folder, file), "utf8").split("\n").slice(0, -1))
    // What is read here was written by `openJournal`.
    .map((text) => JSON.parse(text) as Line)
    .sort((a, b) => a.t - b.t)
