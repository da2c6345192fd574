import { StoreError } from "@everbeat/core/StoreError"

type Reason = StoreError["reason"]

// The first word of an error reply says what kind it is.
const replies: Readonly<Record<string, Reason>> = {
  LOADING: "unavailable",
  MASTERDOWN: "unavailable",
  READONLY: "unavailable",
  CLUSTERDOWN: "unavailable",
  TRYAGAIN: "unavailable",
  MOVED: "unavailable",
  ASK: "unavailable",
  NOREPLICAS: "unavailable",
  BUSY: "unavailable",
  OOM: "refused",
  MISCONF: "refused",
  NOAUTH: "refused",
  WRONGPASS: "refused",
  NOPERM: "refused",
  NOPROTO: "refused",
  DENIED: "refused",
  WRONGTYPE: "corrupt"
}

// What ioredis says when a command could not be sent, or its answer never came.
const lostConnection =
  /connection is closed|connection ended|connection is in subscriber mode|stream isn't writeable|isn't ready|max retries per request|failed to refresh slots cache|too many cluster redirections|none of startup nodes|all sentinels are unreachable|socket closed|socket timeout|max number of clients|cluster is down|all nodes failed|startup nodes/i

const lostSocket = /^E(?:CONN|PIPE|HOST|NET|AI_|NOTFOUND|TIMEDOUT|ADDR)/

const timedOut = /command timed out|blocking command timed out/i

const codeOf = (cause: Error): string => "code" in cause && typeof cause.code === "string" ? cause.code : ""

const reasonOf = (cause: unknown): Reason => {
  if (!(cause instanceof Error)) return "unknown"
  if (timedOut.test(cause.message)) return "timeout"
  if (lostSocket.test(codeOf(cause)) || lostConnection.test(cause.message)) return "unavailable"
  if (["MaxRetriesPerRequestError", "AbortError", "ClusterAllFailedError"].includes(cause.name)) return "unavailable"
  // Within a script, the reply of the failed command follows some words of Redis.
  const [word = ""] = cause.message.split(" ", 1)
  const inner = /^ERR (?:Error running script|user_script).*?@user_script: \d+: -?([A-Z]+) /.exec(cause.message)?.[1]
  return replies[word] ?? replies[inner ?? ""] ?? (/\bWRONGTYPE\b/.test(cause.message) ? "corrupt" : "unknown")
}

/** The client's errors carry the command with all its arguments: what agents saved would end up in logs. */
const withoutCommand = (cause: unknown): unknown => {
  if (!(cause instanceof Error) || !("command" in cause)) return cause
  const plain = new Error(cause.message)
  plain.name = cause.name
  if (cause.stack !== undefined) plain.stack = cause.stack
  return plain
}

/** Whatever the client rejected with, as the error of the contract. */
export const fromClient = (operation: string, cause: unknown): StoreError =>
  new StoreError({
    operation,
    reason: reasonOf(cause),
    detail: cause instanceof Error ? cause.message : String(cause),
    cause: withoutCommand(cause)
  })

export const timeout = (operation: string, millis: number): StoreError =>
  new StoreError({ operation, reason: "timeout", detail: `Redis did not answer within ${millis} ms` })

export const corrupt = (operation: string, cause: unknown): StoreError =>
  new StoreError({
    operation,
    reason: "corrupt",
    detail: `what Redis keeps cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause
  })

/** One run that cannot be read: it is named, and fails nothing else. */
export const damaged = (operation: string, runId: string, cause: unknown): StoreError =>
  cause instanceof StoreError ? cause : new StoreError({
    operation,
    reason: "corrupt",
    detail: `run ${runId} is damaged: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause
  })

export const refused = (operation: string, detail: string): StoreError =>
  new StoreError({ operation, reason: "refused", detail })
