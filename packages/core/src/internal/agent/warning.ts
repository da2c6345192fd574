import * as DateTime from "effect/DateTime"
import { fromValue } from "../diagnose.ts"
import type { Warning } from "./ledger.ts"

const never = DateTime.makeUnsafe(0)

/** What is kept of a value that somebody raised: it must survive a restart. */
export const warningOf = (value: unknown): Warning => {
  const { code, hint, message, url } = fromValue("warning", undefined, value, never)
  return {
    _tag: code,
    message,
    ...(hint === undefined ? undefined : { hint }),
    ...(url === undefined ? undefined : { url })
  }
}
