/** Every address of the API with the one method that it accepts. */
import type { PathInput } from "effect/http/HttpRouter"
import * as Problem from "../Problem.ts"

export const addresses: ReadonlyArray<readonly [path: PathInput, method: "GET" | "POST"]> = [
  ["/api/openapi.json", "GET"],
  ["/api/agents/:agentName/heartbeat", "POST"],
  ["/api/agents/:agentName/runs", "GET"],
  ["/api/agents/:agentName/runs/:runId", "GET"]
]

export const refuseMethod = (allowed: "GET" | "POST"): Problem.MethodNotAllowed => {
  const allow = allowed === "GET" ? ["GET", "HEAD"] : [allowed]
  return new Problem.MethodNotAllowed({ allow, detail: `Use ${allow.join(" or ")}.` })
}

/** The refusal of a method at a known address that has another one; nothing else. */
export const methodNotAllowed = (
  { method, originalUrl }: { readonly method: string; readonly originalUrl: string },
  basePath: string
): Problem.MethodNotAllowed | undefined => {
  const { pathname } = new URL(originalUrl, "http://localhost")
  if (!pathname.startsWith(basePath)) return undefined
  const path = pathname.slice(basePath.length)
  const found = patterns.find(([pattern]) => pattern.test(path))
  const refusal = found === undefined ? undefined : refuseMethod(found[1])
  return refusal?.allow.includes(method) === true ? undefined : refusal
}

const patterns = addresses.map(([path, method]) =>
  [new RegExp(`^${path.replaceAll(".", "\\.").replaceAll(/:\w+/gu, "[^/]+")}/?$`, "u"), method] as const
)
