/** `npm run dispatch`: serves Dispatch until it is told to stop. */
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Console, Effect, Layer, Option } from "effect"
import { AgentTokens } from "./AgentTokens.ts"
import * as Configuration from "./Configuration.ts"
import * as Host from "./Host.ts"
import { LocalForge } from "./LocalForge.ts"

const program = Effect.gen(function*() {
  const configuration = yield* Configuration.load
  const host = Host.serve(configuration.port).pipe(
    Effect.tap(({ url }) => announce(url, configuration)),
    Effect.andThen(Effect.never)
  )
  const services = Layer.mergeAll(
    Host.layerServicesOn(configuration.store, { leaseTtl: Option.getOrUndefined(configuration.lease) }),
    AgentTokens.layer(configuration.tokens)
  ).pipe(
    Layer.provideMerge(Host.layerForge(configuration)),
    Layer.provideMerge(LocalForge.layer)
  )
  return yield* Effect.scoped(host).pipe(Effect.provide(services))
})

const announce = Effect.fnUntraced(function*(url: string, { forgeUrl, store, tokens }: Configuration.Configuration) {
  const local = yield* LocalForge
  const agent = tokens[0]?.agent ?? "triage"
  // The token is shown only when it is the one that everybody knows.
  const token = process.env["DISPATCH_AGENT_TOKENS"] === undefined ? "demo-token" : "$TOKEN"
  yield* Console.log(
    [
      `Dispatch listens on ${url}`,
      `Forge: ${Option.getOrElse(forgeUrl, () => `${local.url} (bundled, real GitHub payloads)`)}`,
      `Store: ${store._tag === "Memory" ? "memory" : store.place}`,
      `Agents: ${tokens.map((entry) => entry.agent).join(", ")}`,
      "",
      "Try a heartbeat:",
      `  curl -X POST -H 'Authorization: Bearer ${token}' ${url}/api/agents/${agent}/heartbeat`,
      ""
    ].join("\n")
  )
})

program.pipe(
  // What the operator can mend is one readable line, without a stack trace.
  Effect.catchTags({
    ConfigurationRefused: (error) => refuse(error.message),
    ConfigError: (error) => refuse(error.message),
    PortUnavailable: (error) => refuse(error.message),
    StoreUnavailable: (error) => refuse(error.message)
  }),
  NodeRuntime.runMain({
    // Being told to stop is no failure.
    teardown: (exit, onExit) => {
      const failed = exit._tag === "Failure" && !Cause.hasInterruptsOnly(exit.cause)
      onExit(failed ? 1 : Number(process.exitCode ?? 0))
    }
  })
)

function refuse(message: string) {
  return Effect.andThen(
    Console.error(`Dispatch cannot start: ${message}`),
    Effect.sync(() => {
      process.exitCode = 1
    })
  )
}
