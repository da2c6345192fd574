/**
 * What a checkpoint keeps of an agent beside its messages: its notes, the tool
 * calls whose results are not in the messages yet, and what the record will say.
 * It travels as the `notes` of the checkpoint.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { CallRecord } from "../../Transcript.ts"
import { touchedUrl } from "../touchedUrl.ts"

const Warning = Schema.Struct({
  _tag: Schema.String,
  message: Schema.String,
  hint: Schema.optionalKey(Schema.String),
  url: Schema.optionalKey(Schema.String)
})

/** A warning as it survives a restart: `Diagnostic` is made of it when the run ends. */
export interface Warning extends Schema.Schema.Type<typeof Warning> {}

const Ledger = Schema.Struct({
  everbeat: Schema.Literal(1),
  notes: Schema.String,
  /** The agent's folder. */
  cwd: Schema.optionalKey(Schema.String),
  /** How many phases were completed: what a store knows of progress is in its notes, messages and workspace. */
  phases: Schema.optionalKey(Schema.Int),
  calls: Schema.Array(CallRecord),
  /** Every call is recorded before it starts: one without a record never did. */
  tracked: Schema.optionalKey(Schema.Literal(true)),
  warnings: Schema.Array(Warning),
  urls: Schema.Array(Schema.String)
})

export interface Ledger extends Schema.Schema.Type<typeof Ledger> {}

const empty: Ledger = { everbeat: 1, notes: "", calls: [], warnings: [], urls: [] }

const Stored = Schema.fromJsonString(Ledger)
const decodeStored = Schema.decodeOption(Stored)

export const encode: (ledger: Ledger) => string = Schema.encodeSync(Stored)

/** Notes that somebody else wrote, with a `Checkpointer`, are just notes. */
export const decode = (text: string): Ledger =>
  text === "" ? empty : Option.getOrElse(decodeStored(text), () => ({ ...empty, notes: text }))

/** The header of a stored text that is nothing but JSON. */
const plainHeader = /^\d+\.\d+\.j\.:(?=")/

/** What a checkpoint says, for somebody who has no codec of the run: nothing, where it is encrypted or compressed. */
export const peek = (stored: string | undefined): Ledger => {
  const header = plainHeader.exec(stored ?? "")
  if (stored === undefined || header === null) return empty
  const text = Schema.decodeOption(Schema.fromJsonString(Schema.String))(stored.slice(header[0].length))
  return Option.match(text, { onNone: () => empty, onSome: decode })
}

/** So much of the notes is kept, in UTF-16 code units: what a resumed agent can be told. */
const maxNotes = 32 * 1024

/** So many warnings and URLs are kept; more are counted by nobody, as the run goes on. */
const most = 200

/** Adds a line; when there is too much, the oldest lines go. */
export const note = (ledger: Ledger, text: string): Ledger => {
  const notes = ledger.notes === "" ? text : `${ledger.notes}\n${text}`
  if (notes.length <= maxNotes) return { ...ledger, notes }
  const tail = notes.slice(notes.length - maxNotes)
  return { ...ledger, notes: tail.slice(tail.indexOf("\n") + 1) }
}

export const warn = (ledger: Ledger, warning: Warning): Ledger =>
  ledger.warnings.length >= most ? ledger : { ...ledger, warnings: [...ledger.warnings, warning] }

export const touch = (ledger: Ledger, url: string): Ledger => {
  const href = touchedUrl(url)
  if (href === undefined || ledger.urls.length >= most || ledger.urls.includes(href)) return ledger
  return { ...ledger, urls: [...ledger.urls, href] }
}

/** So many calls that ended, and so many characters of their results, are kept of a run whose messages cannot tell. */
const maxCalls = 500
const maxResults = 1024 * 1024

/** The ledger is written as a whole: it must not grow with the run. Calls of which the end is not known all stay. */
const bounded = (calls: ReadonlyArray<CallRecord>): ReadonlyArray<CallRecord> => {
  let ended = maxCalls
  let characters = maxResults
  const kept: Array<CallRecord> = []
  for (const call of calls.toReversed()) {
    if (call.status !== "started" && ended-- <= 0) continue
    const { result, ...rest } = call
    characters -= result === undefined ? 0 : JSON.stringify(result).length
    kept.push(result === undefined || characters >= 0 ? call : { ...rest, detail: "its result is no longer kept" })
  }
  return kept.toReversed()
}

/**
 * Replaces the record of a call, or adds it. `tracked`: it is durable before the call starts. A call that is tried again
 * keeps the time at which it was begun first: the same try again is no progress.
 */
export const record = (ledger: Ledger, call: CallRecord, tracked: boolean): Ledger => {
  const { startedAt } = ledger.calls.find(({ id }) => id === call.id) ?? call
  const calls = bounded([...ledger.calls.filter(({ id }) => id !== call.id), { ...call, startedAt }])
  return { ...ledger, ...(tracked ? { tracked } : undefined), calls }
}

/** From the begin of a run on: of one that is under way nobody knows whether its calls were recorded. */
export const tracked = (ledger: Ledger): Ledger => ({ ...ledger, tracked: true })

/** Drops the calls whose results the conversation holds. */
export const answered = (ledger: Ledger, has: (id: string) => boolean): Ledger => {
  const calls = ledger.calls.filter(({ id }) => !has(id))
  return calls.length === ledger.calls.length ? ledger : { ...ledger, calls }
}

/** What is known of the calls of a conversation. Of an agent that does not record them, nothing is known of the others. */
export const callsOf = (ledger: Ledger, ids: ReadonlyArray<{ readonly id: string; readonly name: string }>) => {
  if (ledger.tracked === true) return ledger.calls
  const known = new Set(ledger.calls.map(({ id }) => id))
  const unknown = ids.filter(({ id }) => !known.has(id)).map(({ id, name }): CallRecord => ({
    id,
    name,
    mutates: true,
    status: "started",
    startedAt: 0
  }))
  return [...ledger.calls, ...unknown]
}
