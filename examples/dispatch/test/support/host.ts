/**
 * Dispatch as a process, like `main.ts`, but with a short lease, on any free port, and with `hold` as its argument with
 * a last step that never ends.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Option } from "effect"
import { AgentTokens } from "../../src/AgentTokens.ts"
import * as Configuration from "../../src/Configuration.ts"
import * as Host from "../../src/Host.ts"
import { LocalForge } from "../../src/LocalForge.ts"
import { Reporting } from "../../src/Reporting.ts"

const holding = Layer.succeed(Reporting, {
  compose: () => Effect.andThen(Console.log("held"), Effect.never),
  reports: Effect.succeed([]),
  latest: Effect.succeed(Option.none())
})

const program = Effect.gen(function*() {
  const configuration = yield* Configuration.load
  const services = Host.layerServicesOn(configuration.store, { leaseTtl: "2 seconds" })
  const host = Host.serve(0).pipe(
    Effect.tap(({ url }) => Console.log(`listens on ${url} `)),
    Effect.andThen(Effect.never)
  )
  return yield* Effect.scoped(host).pipe(
    Effect.provide(
      Layer.mergeAll(
        process.argv[2] === "hold" ? Layer.merge(services, holding) : services,
        AgentTokens.layer(configuration.tokens)
      ).pipe(Layer.provideMerge(Host.layerForge(configuration)), Layer.provideMerge(LocalForge.layer))
    )
  )
})

NodeRuntime.runMain(program)
