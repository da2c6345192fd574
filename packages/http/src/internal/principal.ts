/** What hosts without types hand over in place of a principal. */
import * as Schema from "effect/Schema"
import { type Principal, Scope } from "../AgentPrincipal.ts"

export const isTokenId = (u: unknown): u is string => typeof u === "string" && u !== ""

/** Rows of a database say `null` where nothing is set. */
export const areScopes = (u: unknown): u is ReadonlyArray<Scope> | null | undefined =>
  u === undefined || u === null || isScopes(u)

const isScopes = Schema.is(Schema.Array(Scope))

export const isPrincipal = (u: unknown): u is Principal =>
  typeof u === "object" && u !== null && "agentName" in u && typeof u.agentName === "string" && "tokenId" in u
  && isTokenId(u.tokenId) && (!("scopes" in u) || areScopes(u.scopes))
