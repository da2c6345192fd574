import { AgentName } from "@everbeat/core"
import { Config, Duration, Effect, Option, Redacted, Schema } from "effect"
import { RepositoryName } from "./Issue.ts"

/** Something in the environment that Dispatch cannot start with. */
class ConfigurationRefused extends Schema.TaggedError<ConfigurationRefused>()("ConfigurationRefused", {
  variable: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.variable}: ${this.reason}`
  }
}

/** What Dispatch reads from its environment. */
export interface Configuration {
  readonly port: number
  /** The agent that each token belongs to. */
  readonly tokens: ReadonlyArray<{ readonly agent: AgentName.AgentName; readonly token: Redacted.Redacted }>
  /** The forge to sync with; the bundled one if there is none. */
  readonly forgeUrl: Option.Option<string>
  /** The repositories to look after; those of the bundled forge if there are none. */
  readonly repositories: Option.Option<ReadonlyArray<string>>
  readonly store: StoreAddress
  /** How long the agent of a pass stays busy after its process died; the engine's default if it is not given. */
  readonly lease: Option.Option<Duration.Duration>
}

/** Where runs and Dispatch's own state are kept. */
export type StoreAddress =
  | { readonly _tag: "Memory" }
  | {
    readonly _tag: "Postgres" | "Redis"
    /** With a password, perhaps. */
    readonly url: Redacted.Redacted
    /** Scheme and host, which is all that is ever shown. */
    readonly place: string
  }

const refuse = (variable: string, reason: string) => Effect.fail(new ConfigurationRefused({ variable, reason }))

const parts = (text: string): ReadonlyArray<string> =>
  text.split(",").map((part) => part.trim()).filter((part) => part !== "")

const schemes: Readonly<Record<string, "Postgres" | "Redis">> = {
  "postgres:": "Postgres",
  "postgresql:": "Postgres",
  "redis:": "Redis",
  "rediss:": "Redis"
}

/** The store, or what is wrong with its address. The reason quotes nothing of it: where a password ends is not sure. */
const storeOf = (address: string): StoreAddress | string => {
  if (address === "memory") return { _tag: "Memory" }
  const url = /^[a-z]+:\/\//.test(address) ? URL.parse(address) : null
  const _tag = url === null ? undefined : schemes[url.protocol]
  if (url === null || _tag === undefined) {
    return "must be memory, or a URL that begins with postgres:// or redis://; " +
      "in its user and password, write / ? # @ : % as %2F %3F %23 %40 %3A %25"
  }
  // A password with such a character would end there, and its first part would pass for the port.
  if (`${url.pathname}${url.search}${url.hash}`.includes("@")) {
    return "has an @ after its host; in its user and password, write / ? # @ : % as %2F %3F %23 %40 %3A %25"
  }
  if (!isEncoded(url.username) || !isEncoded(url.password)) {
    return "has a % in its user or password that encodes nothing; write it as %25"
  }
  if (_tag === "Redis" && !/^\/?\d{0,5}$/.test(url.pathname)) {
    return "names a Redis database that is not a number: redis://host:port/0"
  }
  return { _tag, url: Redacted.make(address), place: `${url.protocol}//${url.host}` }
}

const isEncoded = (text: string): boolean => {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

/** From a second to an hour. */
const leaseOf = (text: string): Duration.Duration | undefined => {
  const lease = /^(\d+) *(s|seconds?|m|minutes?)$/.exec(text.trim())
  const duration = lease?.[2]?.startsWith("m") === true
    ? Duration.minutes(Number(lease[1]))
    : Duration.seconds(Number(lease?.[1]))
  return Duration.between(duration, { minimum: Duration.seconds(1), maximum: Duration.hours(1) }) ? duration : undefined
}

/** The variables, each checked with a message that says how it must look. Tokens appear in no message. */
export const load = Effect.gen(function*() {
  const portText = yield* Config.String("PORT").pipe(Config.withDefault("4100"))
  const tokenList = yield* Config.Redacted("DISPATCH_AGENT_TOKENS").pipe(
    Config.withDefault(Redacted.make("triage=demo-token"))
  )
  const forgeUrl = yield* Config.option(Config.NonEmptyString("FORGE_URL"))
  const repositoryList = yield* Config.option(Config.NonEmptyString("FORGE_REPOS"))
  const address = yield* Config.Redacted("EVERBEAT_STORE").pipe(Config.withDefault(Redacted.make("memory")))
  const leaseText = yield* Config.option(Config.String("EVERBEAT_LEASE"))

  const port = /^\d{1,5}$/.test(portText.trim()) ? Number(portText) : NaN
  if (!(port <= 65_535)) return yield* refuse("PORT", "must be a number up to 65535; 0 is any free port")

  // The defaults are for trying things out: an empty variable is a mistake. It must not open the door to everybody, nor
  // keep in memory what was to be kept for good.
  if (process.env["DISPATCH_AGENT_TOKENS"]?.trim() === "") {
    return yield* refuse("DISPATCH_AGENT_TOKENS", "is empty; unset it to use the public demo token")
  }
  if (process.env["EVERBEAT_STORE"]?.trim() === "") {
    return yield* refuse("EVERBEAT_STORE", "is empty; unset it, or say memory, to keep everything in memory")
  }
  const tokens = yield* Effect.forEach(parts(Redacted.value(tokenList)), (entry, index) => {
    const [agent = "", ...rest] = entry.split("=")
    const token = rest.join("=")
    return AgentName.isAgentName(agent) && /^[\x21-\x7e]+$/.test(token)
      ? Effect.succeed({ agent, token: Redacted.make(token) })
      : refuse("DISPATCH_AGENT_TOKENS", `entry ${index + 1} must have the form agent=token, in visible ASCII`)
  })
  if (new Set(tokens.map(({ token }) => Redacted.value(token))).size < tokens.length) {
    return yield* refuse("DISPATCH_AGENT_TOKENS", "a token belongs to one agent; two entries have the same")
  }
  if (tokens.length === 0) {
    return yield* refuse("DISPATCH_AGENT_TOKENS", "at least one entry of the form agent=token is needed")
  }

  if (Option.isSome(forgeUrl)) {
    const url = URL.parse(forgeUrl.value)
    if (url === null || !/^https?:$/.test(url.protocol)) {
      return yield* refuse("FORGE_URL", "must be an http or https URL")
    }
    if (url.username !== "" || url.password !== "") {
      return yield* refuse("FORGE_URL", "must not contain credentials; put the token into FORGE_TOKEN")
    }
  }
  const repositories = Option.map(repositoryList, parts)
  if (Option.isSome(repositories)) {
    const wrong = repositories.value.find((name) => Option.isNone(Schema.decodeOption(RepositoryName)(name)))
    if (wrong !== undefined) return yield* refuse("FORGE_REPOS", `'${wrong}' does not have the form owner/name`)
  }
  if (Option.isSome(forgeUrl) && Option.isNone(repositories)) {
    return yield* refuse("FORGE_REPOS", "name the repositories to look after at FORGE_URL: owner/name,owner/name")
  }
  const store = storeOf(Redacted.value(address).trim())
  if (typeof store === "string") return yield* refuse("EVERBEAT_STORE", store)
  const lease = Option.map(leaseText, leaseOf)
  if (Option.isSome(lease) && lease.value === undefined) {
    return yield* refuse("EVERBEAT_LEASE", "must be from a second to an hour, such as 30 seconds or 2 minutes")
  }
  return {
    port,
    tokens,
    forgeUrl,
    repositories,
    store,
    lease: Option.flatMap(lease, Option.fromUndefinedOr)
  } satisfies Configuration
})
