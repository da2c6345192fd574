import { assert, describe, it } from "@effect/vitest"
import { AgentName } from "@everbeat/core"
import { Effect, Layer, Logger, Option, Redacted } from "effect"
import createClient from "openapi-fetch"
import openapiTs, { astToString } from "openapi-typescript"
import { expect } from "vitest"
import { AgentTokens } from "../src/AgentTokens.ts"
import * as Host from "../src/Host.ts"
import { LocalForge } from "../src/LocalForge.ts"
import type { paths } from "./support/everbeat.gen.ts"

const tokens = [
  { agent: AgentName.make("triage"), token: Redacted.make("t-triage") },
  { agent: AgentName.make("coder"), token: Redacted.make("t-coder") }
]

const services = Layer.mergeAll(Host.layerServices, AgentTokens.layer(tokens)).pipe(
  Layer.provideMerge(Host.layerForge({ forgeUrl: Option.none(), repositories: Option.none() })),
  Layer.provideMerge(LocalForge.layer),
  Layer.provideMerge(Logger.layer([]))
)

const onHost = (use: (url: string) => Promise<void>): Promise<void> =>
  Host.serve(0).pipe(
    Effect.flatMap(({ url }) => Effect.promise(() => use(url))),
    Effect.scoped,
    Effect.provide(Layer.fresh(services)),
    Effect.runPromise
  )

describe("a client that openapi-typescript generates", () => {
  it("is the one that these tests are compiled with", () =>
    onHost(async (url) => {
      const described = await fetch(`${url}/api/openapi.json`, { headers: { authorization: "Bearer t-triage" } })
      const types = astToString(await openapiTs(await described.text()))
      await expect(types).toMatchFileSnapshot("support/everbeat.gen.ts")
    }))

  it("calls the running host, and decodes what it answers", () =>
    onHost(async (url) => {
      const client = createClient<paths>({ baseUrl: url, headers: { authorization: "Bearer t-triage" } })
      const params = { path: { agentName: "triage" } }
      const { data, error, response } = await client.POST("/api/agents/{agentName}/heartbeat", {
        params: { ...params, header: { "idempotency-key": "k" } },
        body: null
      })
      assert.isUndefined(error)
      assert(typeof data === "object" && "touchedIssueUrls" in data)
      const urls: ReadonlyArray<string> = data.touchedIssueUrls
      assert.deepStrictEqual([response.status, data.status, data.agentName, urls.length], [200, "ok", "triage", 16])

      const page = await client.GET("/api/agents/{agentName}/runs", { params: { ...params, query: { limit: 1 } } })
      assert.deepStrictEqual(page.data?.items.map(({ runId, status }) => [runId, status]), [[data.runId, "ok"]])
      const one = await client.GET("/api/agents/{agentName}/runs/{runId}", {
        params: { path: { ...params.path, runId: data.runId } }
      })
      assert(typeof one.data === "object")
      assert.strictEqual(one.data.agentName, "triage")

      const again = await client.POST("/api/agents/{agentName}/heartbeat", {
        params: { ...params, header: { "idempotency-key": "k2", prefer: "respond-async" } },
        body: null
      })
      assert.strictEqual(again.response.status, 202)
      assert(typeof again.data === "object" && "location" in again.data)
      assert.strictEqual(again.data.location, `/api/agents/triage/runs/${again.data.runId}`)
    }))

  it("decodes problems", () =>
    onHost(async (url) => {
      const client = createClient<paths>({ baseUrl: url, headers: { authorization: "Bearer t-coder" } })
      const foreign = await client.POST("/api/agents/{agentName}/heartbeat", {
        params: { path: { agentName: "triage" } },
        body: null
      })
      assert.isUndefined(foreign.data)
      assert.deepStrictEqual(
        [foreign.response.status, foreign.error?.type, foreign.error?.status],
        [403, "https://everbeat.dev/problems/wrong-agent", 403]
      )
      const gone = await client.GET("/api/agents/{agentName}/runs/{runId}", {
        params: { path: { agentName: "coder", runId: "01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01" } }
      })
      assert(gone.error?.type === "https://everbeat.dev/problems/run-not-found")
      assert.isString(gone.error.detail)
    }))
})
