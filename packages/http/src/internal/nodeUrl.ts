/** The address of a request, from what its sender wrote: neither the host nor the target may change the path. */

/** The address, or why there is none. */
export const urlOf = (
  target: string,
  scheme: "http" | "https",
  host: string | null
): { readonly url: string } | { readonly refusal: string } => {
  const [, prefix, authority = host ?? "", rest = ""] = /^(?:(https?:\/\/)([^/?]*))?(.*)$/iu.exec(target) ?? []
  // `*` asks about the server as a whole; here that is no address.
  const path = rest === "*" || rest === "" || rest.startsWith("?") ? `/${rest.replace("*", "")}` : rest
  if (authority.includes("@")) return { refusal: "Send credentials in Authorization, not in the address." }
  const refusal = refuseTarget(path)
  if (refusal !== undefined) return { refusal }
  // Concatenated, not resolved: a target such as `//host/path` is a path.
  const url = `${prefix?.toLowerCase() ?? `${scheme}://`}${acceptHost(authority)}${path}`
  return { url: plain.test(url) ? url : new URL(url).href }
}

/** What `URL` would leave as it is. */
const plain = /^https?:\/\/[a-z0-9.-]+(?::\d+)?\/[\w./~-]*$/u

const refuseTarget = (path: string): string | undefined => {
  if (!path.startsWith("/")) return "Send a path that starts with '/'."
  const [route = ""] = path.split("?", 1)
  // `URL` would turn a backslash into a slash, drop the rest, and walk up: past a guard that reads the path as it is.
  if (unsafe.test(path) || route.includes("\\")) {
    return "The address has spaces, control characters, '#' or '\\'. Encode them."
  }
  return route.split("/").some((segment) => dotSegment.test(segment))
    ? "The address has segments '.' or '..'. Send it without them."
    : undefined
}

// oxlint-disable-next-line no-control-regex -- these are what it looks for
const unsafe = /[\x00-\x20\x7f#]/u
const dotSegment = /^(?:\.|%2e){1,2}$/iu

/** A name, an IPv4 address or an IPv6 address in brackets, with a port or without. */
const hostPattern = /^(?:[a-z0-9_][\w.-]*|\[[0-9a-f:.]+\])(?::\d{1,5})?$/iu

const acceptHost = (host: string): string =>
  hostPattern.test(host) && URL.canParse(`http://${host}/`) ? host : "localhost"
