/** What the report of `npm audit --json` means. */

/** What to say, and whether it is a reason to stop. */
export interface Verdict {
  readonly failed: boolean
  readonly says: ReadonlyArray<string>
}

const serious = new Set(["high", "critical"])

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const textOf = (value: unknown, otherwise: string): string => typeof value === "string" ? value : otherwise

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const unknown = (why: string): Verdict => ({
  failed: false,
  says: [`NOT CHECKED: the registry did not say which vulnerabilities are known (${why}).`]
})

export const verdictOf = (report: string): Verdict => {
  const json = parse(report)
  if (!isRecord(json)) return unknown("npm printed no report")
  const { vulnerabilities } = json
  if (!isRecord(vulnerabilities)) return unknown(textOf(json["message"], "the report lists nothing"))
  const found = Object.entries(vulnerabilities).map(([name, entry]) => ({
    name,
    severity: isRecord(entry) ? textOf(entry["severity"], "unknown") : "unknown"
  }))
  const bad = found.filter(({ severity }) => serious.has(severity))
  if (bad.length > 0) return { failed: true, says: bad.map(({ name, severity }) => `${name}: ${severity}`) }
  return { failed: false, says: [`no high or critical vulnerability is known; ${found.length} of lower severity`] }
}
