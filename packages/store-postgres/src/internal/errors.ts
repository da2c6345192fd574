/** What goes wrong in `pg` or in the server, as a `StoreError`. */
import { StoreError } from "@everbeat/core/StoreError"

type Reason = StoreError["reason"]

// Class 28 and 3D: a login or a database that does not exist stays so. 42501, 42P01, ...: rights and missing tables.
const byClass: Readonly<Record<string, Reason>> = {
  "08": "unavailable",
  "22": "refused",
  "23": "refused",
  "25": "unavailable", // read-only since a failover
  "26": "refused", // a prepared statement that is gone
  "28": "refused",
  "3D": "refused",
  "3F": "refused",
  "40": "unavailable",
  "42": "refused",
  "53": "unavailable",
  "54": "refused",
  "57": "unavailable",
  "58": "unavailable"
}

const byCode: Readonly<Record<string, Reason>> = {
  "53100": "refused", // the disk is full
  "55P03": "timeout", // lock_timeout
  "57014": "timeout", // statement_timeout
  ECONNREFUSED: "unavailable",
  ECONNRESET: "unavailable",
  EPIPE: "unavailable",
  ENOTFOUND: "unavailable",
  ENOENT: "unavailable",
  EAI_AGAIN: "unavailable",
  EHOSTUNREACH: "unavailable",
  ENETUNREACH: "unavailable",
  EADDRNOTAVAIL: "unavailable",
  ETIMEDOUT: "timeout"
}

// `pg` tells these apart by their texts only.
const byMessage: ReadonlyArray<readonly [RegExp, Reason]> = [
  [
    /timeout exceeded when trying to connect|query read timeout|connection terminated due to connection timeout/i,
    "timeout"
  ],
  [/cannot use a pool after calling end/i, "refused"],
  [/connection (?:terminated|ended|error)|connection error|not queryable|client was closed|socket/i, "unavailable"]
]

const reasonOf = (code: string | undefined, message: string): Reason => {
  if (code !== undefined) {
    const reason = byCode[code] ?? (/^[0-9A-Z]{5}$/.test(code) ? byClass[code.slice(0, 2)] : undefined)
    if (reason !== undefined) return reason
  }
  return byMessage.find(([pattern]) => pattern.test(message))?.[1] ?? "unknown"
}

/** What to do about refusals that a setting of the store would have prevented. */
const hints: ReadonlyArray<readonly [RegExp, string]> = [
  [
    /prepared statement .* (?:already exists|does not exist)/i,
    "something between the store and the server, such as a pooler in transaction mode, keeps no prepared statements: " +
    "use prepare: false"
  ],
  [
    /unsupported startup parameter/i,
    "a pooler refuses this setting: leave it out of the options of the pool; prepare: false leaves out the store's own"
  ]
]

const hintOf = (message: string): string | undefined => hints.find(([pattern]) => pattern.test(message))?.[1]

export const codeOf = (cause: unknown): string | undefined =>
  typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string"
    ? cause.code
    : undefined

/** Whether the server undid the statement because of a concurrent one: repeating it is safe. */
export const isConcurrency = (cause: unknown): boolean => {
  const code = codeOf(cause)
  return code === "40001" || code === "40P01"
}

/** Not what ends the connection, and not what would be worse in pieces: a full disk, a server without memory. */
const undone = new Set(["0A", "21", "22", "23", "42", "44", "54", "55", "P0"])

/** Whether a statement failed by what it holds or waits for: nothing of it happened, and a part of it may succeed. */
export const isUndone = (cause: unknown): boolean => {
  const code = codeOf(cause)
  if (code !== undefined) return undone.has(code.slice(0, 2)) || code === "57014"
  // Thrown before it was sent, by a value of the wrong type.
  return cause instanceof TypeError || cause instanceof RangeError
}

export const storeError = (operation: string, cause: unknown): StoreError => {
  if (cause instanceof StoreError) return cause
  const message = cause instanceof Error ? cause.message : String(cause)
  const code = codeOf(cause)
  const hint = hintOf(message)
  const detail = [message, code].filter((part) => part !== undefined && part !== "").join(" ")
  return new StoreError({
    operation,
    // A pooler gives a connection that it refuses the code of a lost one.
    reason: hint === undefined ? reasonOf(code, message) : "refused",
    detail: hint === undefined ? detail : `${detail}; ${hint}`,
    cause
  })
}

export const corrupt = (operation: string, cause: unknown): StoreError =>
  cause instanceof StoreError ? cause : new StoreError({
    operation,
    reason: "corrupt",
    detail: cause instanceof Error ? cause.message : String(cause),
    cause
  })

/** A statement that lost every race: nothing was written. */
export const contention = (operation: string): StoreError =>
  new StoreError({ operation, reason: "unavailable", detail: "concurrent writers won every time; nothing was written" })
