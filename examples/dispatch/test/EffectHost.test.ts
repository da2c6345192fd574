import { assert, it } from "@effect/vitest"
import { AgentName } from "@everbeat/core"
import { Effect, Layer, Logger, Option, Redacted } from "effect"
import { AgentTokens } from "../src/AgentTokens.ts"
import * as EffectHost from "../src/EffectHost.ts"
import * as Host from "../src/Host.ts"
import { LocalForge } from "../src/LocalForge.ts"

const layer = EffectHost.layer(0).pipe(
  Layer.provideMerge(Layer.merge(
    Host.layerServices,
    AgentTokens.layer([{ agent: AgentName.make("triage"), token: Redacted.make("t-triage") }])
  )),
  Layer.provideMerge(Host.layerForge({ forgeUrl: Option.none(), repositories: Option.none() })),
  Layer.provideMerge(LocalForge.layer),
  Layer.provideMerge(Logger.layer([]))
)

const request = (address: string, method: "GET" | "POST", token?: string) =>
  Effect.promise(async (signal) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const response = await fetch(address, { method, signal, headers })
    return { status: response.status, headers: response.headers, body: await response.json() }
  })

it.live("a host on Effect serves the heartbeat beside routes of its own, on one port", () =>
  Effect.gen(function*() {
    const url = yield* EffectHost.url
    const beat = yield* request(`${url}/api/agents/triage/heartbeat`, "POST", "t-triage")
    assert.deepStrictEqual([beat.status, beat.headers.get("everbeat-status"), beat.body.status], [200, "ok", "ok"])
    assert.strictEqual(beat.body.touchedIssueUrls.length, 16)
    // What the steps have written is what the host's own routes read.
    assert.strictEqual((yield* request(`${url}/api/issues`, "GET", "t-triage")).body.length, 16)
    assert.strictEqual((yield* request(`${url}/api/issues`, "GET")).status, 401)
    assert.strictEqual((yield* request(`${url}/api/agents/triage/heartbeat`, "POST")).status, 401)
    const foreign = yield* request(`${url}/api/agents/coder/heartbeat`, "POST", "t-triage")
    assert.strictEqual(foreign.status, 403)
    const runs = yield* request(`${url}/api/agents/triage/runs`, "GET", "t-triage")
    assert.strictEqual(runs.body.items.length, 1)
  }).pipe(Effect.provide(layer)))
