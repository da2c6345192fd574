/** Whether a caller asks for events: `text/event-stream` by name, at least as much as JSON. */
export const wantsEvents = (accept: string | undefined): boolean => {
  if (accept === undefined || accept.length > 1024) return false
  const weights = new Map<string, number>()
  for (const range of accept.split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase())
    const q = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2)
    const weight = q === undefined ? 1 : /^[01](?:\.\d{0,3})?$/u.test(q) ? Math.min(1, Number(q)) : 0
    weights.set(type, Math.max(weight, weights.get(type) ?? 0))
  }
  const events = weights.get("text/event-stream") ?? 0
  return events > 0 && events >= (weights.get("application/json") ?? 0)
}
