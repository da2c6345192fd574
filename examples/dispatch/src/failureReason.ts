/**
 * Why a database failed, in one line. The errors of drivers carry the command that failed, and with it a password or a
 * whole document; and where several addresses were tried, `pg` and Node leave the message empty and have a code only.
 */
export const failureReason = (failure: unknown): string => {
  const { cause, code, message } = Object(failure) as { cause?: unknown; code?: unknown; message?: unknown }
  if (cause instanceof Error) return failureReason(cause)
  const said = [message, code].find((text): text is string => typeof text === "string" && text !== "")
  return (said ?? "unknown").split("\n", 1).join("").trim()
}
