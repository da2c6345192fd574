/** Every address of the API with the methods that it accepts. */
import { isAgentName } from "@everbeat/core/AgentName"
import { isRunId } from "@everbeat/core/RunId"
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

/** The path of an address, with an origin or without: whatever made the request has parsed it. Other texts have none of ours. */
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
  /** The path for spans: `/unknown` where it is none of the API, and without what is no agent's name and no run's id. */
  readonly shownPathOf: (request: Target) => string
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
  const below = ({ originalUrl }: Target): string => {
    const pathname = pathnameOf(originalUrl)
    return pathname.startsWith(basePath) ? pathname.slice(basePath.length) : ""
  }
  const find = (request: Target) => {
    const path = below(request)
    return patterns.find(({ pattern }) => pattern.test(path))
  }
  return {
    pathOf: (request) => find(request)?.path,
    shownPathOf: (request) => {
      const found = find(request)
      if (found === undefined) return "/unknown"
      const sent = below(request).split("/")
      return basePath + found.path.split("/").map((part, index) => shown(part, sent[index] ?? "")).join("/")
    },
    methodNotAllowed: (request) => {
      const found = find(request)
      const refusal = found === undefined ? undefined : refuseMethod(found.methods)
      return refusal?.allow.includes(request.method) === true ? undefined : refusal
    }
  }
}

/** Also a part of a token, and in other letters. */
const looksLikeToken = (text: string): boolean => /evb_/iu.test(text)

const shown = (part: string, sent: string): string => {
  if (part === ":agentName") return isAgentName(sent) && !looksLikeToken(sent) ? sent : part
  return part === ":runId" && isRunId(sent) ? sent : part
}
