/**
 * Answers the tool calls of a conversation that have no result.
 *
 * A result belongs to the last call before it that has its id and no result
 * yet. It is in its place when nothing but results lies between it and the
 * message of its call.
 */
import type { Json } from "effect/Schema"
import type { Adapter, Answer, Call, CallRecord, Repaired } from "../../Transcript.ts"

/** One message that makes calls: which of them have a result, and the results that came too late. */
interface Turn<M> {
  readonly calls: ReadonlyMap<string, Call>
  readonly answered: Set<string>
  readonly late: Array<M>
}

/** What becomes of one message. */
interface Placed<M> {
  /** What stays where it is. */
  readonly message: M | undefined
  /** How many results stay. */
  readonly results: number
  readonly turn: Turn<M> | undefined
}

export const repair = <M>(
  adapter: Adapter<M>,
  messages: ReadonlyArray<M>,
  ledger: ReadonlyArray<CallRecord> | undefined
): Repaired<M> => {
  const dropped: Array<string> = []
  const placed = place(adapter, messages, dropped)
  const answerOf = answers(placed, ledger)
  const repaired: Array<Answer> = []
  const out: Array<M> = []

  for (let at = 0; at < placed.length; at++) {
    const { message, turn } = placed[at] ?? nothing
    if (message !== undefined) out.push(message)
    if (turn === undefined) continue
    let inPlace = 0
    for (; at + 1 < placed.length; at++) {
      const next = placed[at + 1] ?? nothing
      if (next.turn !== undefined || (next.message !== undefined && next.results === 0)) break
      if (next.message !== undefined) inPlace = out.push(next.message)
    }
    inPlace = turn.late.length > 0 ? out.push(...turn.late) : inPlace
    const missing = Array.from(turn.calls.values()).filter(({ id }) => !turn.answered.has(id)).map(answerOf)
    if (missing.length === 0) continue
    repaired.push(...missing)
    // With results that are there, else with what follows when that can hold them: some providers want strict turns.
    const host = inPlace > 0 ? out[inPlace - 1] : hostOf(adapter, placed[at + 1] ?? nothing)
    const joined = host === undefined ? undefined : adapter.grouped?.join(host, missing)
    if (joined === undefined) out.push(...adapter.answer(missing))
    else if (inPlace > 0) out[inPlace - 1] = joined
    else {
      out.push(joined)
      at++
    }
  }
  const same = out.length === messages.length && out.every((message, at) => message === messages[at])
  return { messages: same ? messages : out, repaired, dropped }
}

const nothing: Placed<never> = { message: undefined, results: 0, turn: undefined }

const hostOf = <M>(adapter: Adapter<M>, { message, turn }: Placed<M>): M | undefined =>
  message !== undefined && turn === undefined && ["user", "tool"].includes(adapter.role(message)) ? message : undefined

/** Finds the call of each result, takes out what belongs to none, and what is not in its place. */
const place = <M>(
  adapter: Adapter<M>,
  messages: ReadonlyArray<M>,
  dropped: Array<string>
): ReadonlyArray<Placed<M>> => {
  const open = new Map<string, Array<Turn<M>>>()
  /** The turn whose results may still follow. */
  let current: Turn<M> | undefined
  return messages.map((message) => {
    const results = adapter.results(message)
    const owners = results.map((id) => {
      const turn = open.get(id)?.pop()
      turn?.answered.add(id)
      if (turn === undefined) dropped.push(id)
      return turn
    })
    const stays = (at: number) => owners[at] !== undefined && owners[at] === current
    const count = owners.filter((_, at) => stays(at)).length
    const kept = count === results.length ? message : pick(adapter, message, stays, true)
    for (const turn of new Set(owners)) {
      if (turn === undefined || turn === current) continue
      const mine = (at: number) => owners[at] === turn
      const whole = kept === undefined && owners.every((_, at) => mine(at))
      const moved = whole ? message : pick(adapter, message, mine, false)
      if (moved !== undefined) turn.late.push(moved)
    }

    const calls = new Map(adapter.calls(message).map((call) => [call.id, call]))
    const turn: Turn<M> | undefined = calls.size > 0 ? { calls, answered: new Set(), late: [] } : undefined
    if (turn !== undefined || (kept !== undefined && count === 0)) current = turn
    for (const id of calls.keys()) {
      const turns = open.get(id)
      if (turn === undefined) continue
      if (turns === undefined) open.set(id, [turn])
      else turns.push(turn)
    }
    return { message: kept, results: count, turn }
  })
}

const pick = <M>(adapter: Adapter<M>, message: M, keep: (at: number) => boolean, rest: boolean): M | undefined => {
  if (adapter.grouped !== undefined) return adapter.grouped.pick(message, keep, rest)
  return keep(0) ? message : undefined
}

/** What is known of the calls that have no result. */
const answers = <M>(
  placed: ReadonlyArray<Placed<M>>,
  ledger: ReadonlyArray<CallRecord> | undefined
): (call: Call) => Answer => {
  const records = new Map(ledger?.map((record) => [record.id, record]))
  const seen = new Set<string>()
  const shared = new Set<string>()
  for (const { turn } of placed) {
    for (const id of turn?.calls.keys() ?? []) {
      if (seen.has(id)) shared.add(id)
      seen.add(id)
    }
  }
  return ({ id, input, name }) => {
    const call: Call = { id, name, ...(input === undefined ? undefined : { input }) }
    if (ledger === undefined) return closed(call, "outcome-unknown")
    const record = records.get(call.id)
    if (record === undefined) return closed(call, "not-executed")
    // Whose record it is cannot be told: believing it could repeat or skip what another call did.
    if (shared.has(call.id) || record.name !== call.name) return closed(call, "outcome-unknown")
    if (record.status === "started") return closed(call, record.mutates ? "outcome-unknown" : "call-again")
    return {
      ...call,
      how: "outcome-known",
      isError: record.status === "failed",
      text: record.result === undefined
        ? record.detail ?? `(no result; the call ${ended[record.status]})`
        : textOf(record.result),
      ...(record.result === undefined ? undefined : { result: record.result })
    }
  }
}

const ended = { done: "succeeded", failed: "failed" } as const

const textOf = (result: Json): string => typeof result === "string" ? result : JSON.stringify(result)

const closed = (call: Call, how: keyof typeof texts): Answer => ({ ...call, how, isError: true, text: texts[how] })

const texts = {
  "outcome-unknown": "INTERRUPTED: outcome unknown. Check the current state before calling this again.",
  "call-again": "INTERRUPTED: no result was recorded. This only reads: call it again if you still need the result.",
  "not-executed": "NOT EXECUTED: the run was interrupted before this call started."
} as const
