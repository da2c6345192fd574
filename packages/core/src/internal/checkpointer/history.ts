/** Which messages are new, and which rows and segments the history then has. */
import * as Effect from "effect/Effect"
import type { MessageTooLarge, MessageUnreadable, Unencodable } from "../../MessageCodec.ts"
import type { RunCheckpoint, Segment } from "../../RunCheckpoint.ts"
import type { StoreError } from "../../StoreError.ts"
import type { Packed, Packing } from "./packing.ts"

/** A history that has more pieces, or whose rows are mostly garbage, is written once more in one piece. */
const limits = { segments: 64, garbage: 64 }

/** What is known of one message: encoded and waiting for its row, or stored in a row. */
interface Entry {
  /** Set while the message is part of the stored history. Rows outside it may be gone any time. */
  row: number | undefined
  /** Set from encoding until the message is stored. */
  packed: Packed | undefined
  /** The text of a row that was tried but not confirmed. */
  sealed: { readonly row: number; readonly text: string } | undefined
  hash: string | undefined
}

/** A history whose messages are all known. */
export interface Known<M> {
  readonly messages: ReadonlyArray<M>
  readonly entries: ReadonlyArray<Entry>
}

/** What one save does to the history. */
export interface Plan {
  readonly position: number
  readonly rows: ReadonlyArray<string>
  readonly segments: ReadonlyArray<Segment>
  readonly entries: ReadonlyArray<Entry>
  readonly assigned: ReadonlyMap<Entry, number>
  /** Hashes of messages that were encoded anew, and differently than before. */
  readonly rehashed: ReadonlyMap<Entry, string>
  readonly rewrites: boolean
}

type EncodeError = Unencodable | MessageTooLarge

export class History<M> {
  position = 0
  segments: ReadonlyArray<Segment> = []
  /** Rows before it hold nothing that is part of the history. */
  private base = 0
  /** Pieces that the last rewrite left: a history that repeats messages cannot have fewer. */
  private floor = 0
  private stored: ReadonlyArray<Entry> = []
  private readonly byIdentity = new WeakMap<object, Entry>()
  private readonly byHash = new Map<string, Entry>()
  /** Entries that hold an encoding. */
  private readonly pending = new Set<Entry>()
  /** Entries of a history that is being encoded: a save that ends meanwhile must not take their encodings away. */
  private preparing: ReadonlyArray<Entry | undefined> = []
  /** Grows while a rewrite is not possible, so that it is tried less and less often. */
  private patience = 1
  private readonly packing: Packing<M>
  /** Whether a message that was seen before is taken for unchanged. */
  private readonly trusting: boolean

  constructor(packing: Packing<M>, verify: "identity" | "hash") {
    this.packing = packing
    this.trusting = verify === "identity"
  }

  /** Reads a checkpoint. Each row is decoded once; a message that occurs twice is one object. */
  readonly restore = (checkpoint: RunCheckpoint): Effect.Effect<Known<M>, MessageUnreadable> =>
    Effect.gen({ self: this }, function*() {
      const messages: Array<M> = []
      const entries: Array<Entry> = []
      const byRow = new Map<number, { readonly message: M; readonly entry: Entry }>()
      let at = 0
      for (const [from, to] of checkpoint.segments) {
        for (let row = from; row < to; row++) {
          const text = checkpoint.messages[at++] ?? ""
          let known = byRow.get(row)
          if (known === undefined) {
            const { hash, message } = yield* this.packing.openMessage(text, row)
            known = { message, entry: { row, packed: undefined, sealed: undefined, hash } }
            byRow.set(row, known)
            this.register(message, known.entry)
          }
          messages.push(known.message)
          entries.push(known.entry)
        }
      }
      this.position = checkpoint.position
      this.segments = checkpoint.segments
      this.base = checkpoint.segments.reduce((least, [from]) => Math.min(least, from), checkpoint.position)
      this.stored = entries
      return { messages, entries }
    })

  /**
   * Encodes what is new in `messages`. Fails before anything is changed.
   *
   * A message at the place where it was before costs a comparison; one that moved, a look-up; only one that was not
   * seen before is encoded and hashed.
   */
  know(before: Known<M>, messages: ReadonlyArray<M>): Effect.Effect<Known<M>, EncodeError> {
    const own = [...messages] // the caller may go on with its array
    const entries: Array<Entry | undefined> = []
    const missing: Array<number> = []
    const isKept = lookUp(before.entries)
    this.preparing = entries
    for (let index = 0; index < own.length; index++) {
      const message = own[index] as M // within its length
      const same = index < before.entries.length && before.messages[index] === message
      const entry = !this.trusting ? undefined : same ? before.entries[index] : this.recognise(message, isKept)
      if (entry === undefined) missing.push(index)
      entries.push(entry)
    }
    const encoded = Effect.forEach(
      missing,
      (index) =>
        Effect.map(this.encode(own[index] as M, index, isKept), (entry) => {
          entries[index] = entry
        }),
      { discard: true }
    )
    // Without a hole every element is an entry.
    return Effect.as(encoded, { messages: own, entries: entries as ReadonlyArray<Entry> })
  }

  /** What was encoded last is wanted from now on. */
  offered(): void {
    this.preparing = []
  }

  /** Which rows a save of this history appends. `padding` asks for a row where there is nothing new. */
  readonly plan = (known: Known<M>, padding: boolean): Effect.Effect<Plan, EncodeError | StoreError> =>
    Effect.gen({ self: this }, function*() {
      const plain = this.assign(known.entries, false)
      if (this.isFragmented(plain)) {
        // A rewrite encodes messages again: one that was changed in place meanwhile must not spoil the save.
        const rewritten = yield* Effect.option(this.fill(known, this.assign(known.entries, true), true, padding))
        if (rewritten._tag === "Some" && (this.trusting || rewritten.value.rehashed.size === 0)) return rewritten.value
        this.patience *= 2
      }
      return yield* this.fill(known, plain, false, padding)
    })

  private readonly fill = (
    { entries, messages }: Known<M>,
    { assigned, segments }: Assignment,
    rewrites: boolean,
    padding: boolean
  ): Effect.Effect<Plan, EncodeError | StoreError> =>
    Effect.gen({ self: this }, function*() {
      const rows: Array<string> = []
      const rehashed = new Map<Entry, string>()
      if (assigned.size > 0) {
        for (let index = 0; index < entries.length; index++) {
          const entry = entries[index]
          const row = entry && assigned.get(entry)
          // An entry that occurs twice is written where it comes first.
          if (entry === undefined || row !== this.position + rows.length) continue
          if (entry.sealed?.row !== row) {
            let { packed } = entry
            if (packed === undefined) {
              const { bytes, ...again } = yield* this.packing.packMessage(messages[index] as M, `messages[${index}]`)
              packed = again
              const hash = entry.hash === undefined ? undefined : yield* this.packing.hash(bytes)
              if (hash !== undefined && hash !== entry.hash) rehashed.set(entry, hash)
            }
            entry.sealed = { row, text: yield* this.packing.seal(packed, `row ${row}`) }
          }
          rows.push(entry.sealed.text)
        }
      }
      // Not part of any segment, so it is never read.
      if (padding && rows.length === 0) rows.push("")
      return { position: this.position, rows, segments, entries, assigned, rehashed, rewrites }
    })

  /** The save of this plan went through. `newest` is what is to be saved next. */
  commit(plan: Plan, newest: Known<M>): void {
    if (plan.rewrites) {
      this.base = plan.position
      this.floor = plan.segments.length
      this.patience = 1
    }
    for (const [entry, row] of plan.assigned) {
      entry.row = row
      entry.sealed = undefined
      const hash = plan.rehashed.get(entry)
      if (hash !== undefined) {
        this.forget(entry)
        entry.hash = hash
      }
      if (entry.hash !== undefined) this.byHash.set(entry.hash, entry)
    }
    if (!this.stored.every((entry, index) => entry === plan.entries[index])) { // not plain growth
      const kept = new Set(plan.entries)
      for (const entry of this.stored) {
        if (kept.has(entry)) continue
        entry.row = undefined
        if (entry.packed === undefined) this.forget(entry)
      }
    }
    if (this.pending.size > 0) {
      const wanted = new Set(newest.entries)
      const preparing = new Set(this.preparing)
      for (const entry of [...this.pending]) {
        const isStored = entry.row !== undefined
        if (preparing.has(entry) || (!isStored && wanted.has(entry))) continue
        this.pending.delete(entry)
        entry.packed = undefined
        entry.sealed = undefined
        if (!isStored) this.forget(entry)
      }
    }
    this.position = plan.position + plan.rows.length
    this.segments = plan.segments
    this.stored = plan.entries
  }

  /** The entry of a message that was seen before. One whose row may go with a save under way is encoded again. */
  private recognise(message: M, isKept: (entry: Entry) => boolean): Entry | undefined {
    if (typeof message !== "object" || message === null) return undefined
    const entry = this.byIdentity.get(message)
    return entry !== undefined && (entry.packed !== undefined || (entry.row !== undefined && isKept(entry)))
      ? entry
      : undefined
  }

  private readonly encode = (
    message: M,
    index: number,
    isKept: (entry: Entry) => boolean
  ): Effect.Effect<Entry, EncodeError> =>
    Effect.gen({ self: this }, function*() {
      // The same object, earlier in this history.
      const twin = this.trusting ? this.recognise(message, isKept) : undefined
      if (twin !== undefined) return twin
      const { bytes, ...packed } = yield* this.packing.packMessage(message, `messages[${index}]`)
      const hash = yield* this.packing.hash(bytes)
      const copy = hash === undefined ? undefined : usable(this.byHash.get(hash))
      const entry = copy ?? { row: undefined, packed: undefined, sealed: undefined, hash }
      if (entry.packed === undefined && !(copy !== undefined && isKept(copy))) {
        entry.packed = packed
        this.pending.add(entry)
      }
      this.register(message, entry)
      return entry
    })

  private register(message: M, entry: Entry): void {
    if (typeof message === "object" && message !== null) this.byIdentity.set(message, entry)
    if (entry.hash !== undefined) this.byHash.set(entry.hash, entry)
  }

  private forget(entry: Entry): void {
    if (entry.hash !== undefined && this.byHash.get(entry.hash) === entry) this.byHash.delete(entry.hash)
  }

  private assign(entries: ReadonlyArray<Entry>, afresh: boolean): Assignment {
    const assigned = new Map<Entry, number>()
    const segments: Array<[number, number]> = []
    let next = this.position
    let last: [number, number] | undefined
    for (const entry of entries) {
      let row = afresh ? assigned.get(entry) : entry.row ?? assigned.get(entry)
      if (row === undefined) assigned.set(entry, row = next++)
      if (last?.[1] === row) last[1]++
      else segments.push(last = [row, row + 1])
    }
    return { assigned, segments, next }
  }

  private isFragmented({ next, segments }: Assignment): boolean {
    if (segments.length > this.patience * Math.max(limits.segments, 2 * this.floor)) return true
    const rows = next - this.base
    const live = segments.reduce((sum, [from, to]) => sum + to - from, 0) // rows that occur twice count twice: no harm
    return rows >= limits.garbage * this.patience && rows > 2 * live * this.patience
  }
}

/** Rows for the entries that need one, and the segments that result. */
interface Assignment {
  readonly assigned: ReadonlyMap<Entry, number>
  readonly segments: ReadonlyArray<Segment>
  readonly next: number
}

/** Whether an entry is one of these, built when it is asked for the first time: plain growth never asks. */
const lookUp = (entries: ReadonlyArray<Entry>): (entry: Entry) => boolean => {
  let set: Set<Entry> | undefined
  return (entry) => (set ??= new Set(entries)).has(entry)
}

const usable = (entry: Entry | undefined): Entry | undefined =>
  entry !== undefined && (entry.row !== undefined || entry.packed !== undefined) ? entry : undefined
