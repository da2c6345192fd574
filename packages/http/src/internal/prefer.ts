/** Preferences of a caller (RFC 7240). What is not understood is ignored, as the standard demands. */
export interface Preferences {
  readonly respondAsync: boolean
  readonly waitMillis: number | undefined
  readonly failOnError: boolean
}

/** A token, or a token with a value that may be quoted. Parameters after it mean nothing here. */
const preference = /^\s*([!#$%&'*+.^_`|~\w-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~\w-]*)))?\s*(?:;|$)/u

/** Commas that are not inside of quotes. */
const separator = /,(?=(?:[^"\\]|\\.|"(?:[^"\\]|\\.)*")*$)/u

/** Longer headers are nobody's preferences. */
const maxLength = 1024

export const parsePrefer = (header: string | undefined): Preferences => {
  const found = new Map<string, string>()
  if (header !== undefined && header.length <= maxLength) {
    for (const part of header.split(separator)) {
      const [, name, quoted, bare] = preference.exec(part) ?? []
      // Of a preference that is given twice the first one counts.
      if (name !== undefined && !found.has(name.toLowerCase())) found.set(name.toLowerCase(), quoted ?? bare ?? "")
    }
  }
  const wait = found.get("wait")
  return {
    respondAsync: found.get("respond-async") === "",
    waitMillis: wait !== undefined && /^\d{1,9}$/u.test(wait) ? Number(wait) * 1000 : undefined,
    failOnError: found.get("everbeat-fail-on") === "error"
  }
}

/** How long the caller waits for the report before it is told where the run is; nothing for as long as it takes. */
export const patienceOf = (
  { respondAsync, waitMillis }: Preferences,
  hostMillis: number | undefined
): number | undefined => {
  const asked = waitMillis ?? (respondAsync ? 0 : undefined)
  return asked === undefined || hostMillis === undefined ? asked ?? hostMillis : Math.min(asked, hostMillis)
}

/** Value of `Preference-Applied`, or nothing when none was. */
export const applied = (
  preferences: Preferences,
  { accepted, failed }: { readonly accepted: boolean; readonly failed: boolean }
): string | undefined => {
  const names = [
    ...(accepted && preferences.respondAsync ? ["respond-async"] : []),
    ...(preferences.waitMillis === undefined ? [] : [`wait=${preferences.waitMillis / 1000}`]),
    ...(failed && preferences.failOnError ? ["everbeat-fail-on=error"] : [])
  ]
  return names.length === 0 ? undefined : names.join(", ")
}
