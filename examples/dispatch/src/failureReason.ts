/**
 * Why a database failed, in one line. The errors of drivers carry the command that failed, and with it a password or a
 * whole document; and where several addresses were tried, `pg` and Node leave the message empty and have a code only.
 */
export const failureReason = (failure: unknown): string => {
  const { _tag, cause, code, detail, message } = Object(failure) as Readonly<Record<string, unknown>>
  if (_tag === "UnknownError") return failureReason(cause)
  const said = [_tag === "StoreError" ? detail : undefined, message, code]
    .find((text): text is string => typeof text === "string" && text !== "")
  return (said ?? "unknown").split("\n", 1).join("").trim()
}
