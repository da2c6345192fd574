/** Checks what methods are called with. */
import { isRunId, type RunId } from "../../RunId.ts"
import { InvalidInputError, NotStorableError } from "../EverbeatError.ts"
import type { Json } from "../Json.ts"
import * as Checks from "./checks.ts"
import { normalise, type NotJson } from "./normalise.ts"

const who = {
  agentId: Checks.aString,
  callerId: Checks.aString,
  channelId: Checks.aString,
  guildId: Checks.aString,
  modelTier: Checks.aString,
  prompt: Checks.aString,
  parentRunId: Checks.aString,
  payload: Checks.anything,
  key: Checks.aString,
  signal: Checks.aSignal
}

export const runChecks = Checks.optional({ ...who, onBusy: Checks.oneOf("fail", "join") })

export const startChecks = Checks.optional({ ...who, agent: Checks.aString, cwd: Checks.aString })

export const inputs = <T>(method: string, options: T, checks: Readonly<Record<string, Checks.Check>>): T => {
  Checks.refuse(method, Checks.problemsOf(options, checks))
  return options
}

export const payloadOf = (payload: unknown): { readonly payload?: Json } => {
  if (payload === undefined) return {}
  try {
    return { payload: normalise(payload) }
  } catch (error) {
    const { detail } = error as NotJson // `normalise` throws nothing else
    const place = (error as NotJson).at("payload")
    throw new NotStorableError(place.slice(0, place.length - detail.length - 2), `The payload is not JSON: ${place}`)
  }
}

export const runIdOf = (runId: unknown, field = "runId"): RunId => {
  if (isRunId(runId)) return runId
  throw new InvalidInputError(field, `${field} ${Checks.describe(runId)} is not the id of a run.`, {
    hint: "Take it as it is from runId of a report, a record or a handle."
  })
}
