/** Every address of the API with the methods that it accepts. */
import type { PathInput } from "effect/http/HttpRouter"
import * as Problem from "../Problem.ts"
import type { Resolved } from "./options.ts"

type Method = "DELETE" | "GET" | "POST"

type Address = readonly [path: PathInput, methods: ReadonlyArray<Method>]

const addresses: ReadonlyArray<Address> = [
  ["/api/health", ["GET"]],
  ["/api/ready", ["GET"]],
  ["/api/openapi.json", ["GET"]],
  ["/api/agents/:agentName/heartbeat", ["POST"]],
  ["/api/agents/:agentName/runs", ["GET"]],
  ["/api/agents/:agentName/runs/:runId", ["GET"]],
  ["/api/agents/:agentName/runs/:runId/cancel", ["POST"]],
  ["/api/agents/:agentName/checkpoints", ["GET"]],
  ["/api/agents/:agentName/checkpoints/:runId", ["GET", "DELETE"]],
  ["/api/agents/:agentName/checkpoints/:runId/resume", ["POST"]]
]

type Opted = Pick<Resolved<never>, "docs" | "operatorTokens">

/** Those that this host offers. */
export const addressesOf = ({ docs, operatorTokens }: Opted): ReadonlyArray<Address> => [
  ...addresses,
  ...(docs ? [docsAddress] : []),
  ...(operatorTokens.length > 0 ? [metricsAddress] : [])
]

const docsAddress: Address = ["/api/docs", ["GET"]]
const metricsAddress: Address = ["/api/metrics", ["GET"]]

/** The path of an address that is one already: whatever made the request has parsed it. */
export const pathnameOf = (url: string): string => beforeQuery.exec(url)?.[1] ?? ""

const beforeQuery = /^(?:[a-z]+:\/\/[^/?#]*)?([^?#]*)/iu

interface Target {
  readonly originalUrl: string
}

export const refuseMethod = (methods: ReadonlyArray<Method>): Problem.MethodNotAllowed => {
  const allow = methods.flatMap((method) => method === "GET" ? ["GET", "HEAD"] : [method])
  return new Problem.MethodNotAllowed({ allow, detail: `Use ${allow.join(" or ")}.` })
}

export interface Lookup {
  /** The address of the API that a request is for, below the base path. */
  readonly pathOf: (request: Target) => PathInput | undefined
  /** The refusal of a method at a known address that has other ones; nothing else. */
  readonly methodNotAllowed: (request: Target & { readonly method: string }) => Problem.MethodNotAllowed | undefined
}

export const lookUp = (options: Opted & Pick<Resolved<never>, "basePath">): Lookup => {
  const { basePath } = options
  const patterns = addressesOf(options).map(([path, methods]) => ({
    path,
    methods,
    pattern: new RegExp(`^${path.replaceAll(".", "\\.").replaceAll(/:\w+/gu, "[^/]+")}/?$`, "u")
  }))
  const find = ({ originalUrl }: Target) => {
    const pathname = pathnameOf(originalUrl)
    if (!pathname.startsWith(basePath)) return undefined
    const path = pathname.slice(basePath.length)
    return patterns.find(({ pattern }) => pattern.test(path))
  }
  return {
    pathOf: (request) => find(request)?.path,
    methodNotAllowed: (request) => {
      const found = find(request)
      const refusal = found === undefined ? undefined : refuseMethod(found.methods)
      return refusal?.allow.includes(request.method) === true ? undefined : refusal
    }
  }
}
