import { assert, describe, it } from "@effect/vitest"
import { AgentToken, HeartbeatHandler } from "@everbeat/http"
import { Effect, Redacted } from "effect"
import { acquire, auth, callOf, heartbeats, host, requestOf, secrets } from "./harness.ts"

const addresses = ["/api/openapi.json", "/api/docs"] as const

const serving = (options: { readonly docs?: boolean; readonly publicDescription?: boolean }) =>
  Effect.gen(function*() {
    const verify = yield* auth
    const operator = yield* AgentToken.create()
    const handler = yield* acquire(() =>
      HeartbeatHandler.make({ heartbeats, auth: verify, layer: host, operatorTokens: [operator.sha256], ...options })
    )
    const get = (path: string, token?: string, method = "GET") =>
      Effect.promise(async () => {
        const response = await handler.fetch(requestOf(path, { token, method }))
        return { response, text: await response.text() }
      })
    return { call: callOf(handler), get, operator: Redacted.value(operator.token) }
  })

describe("the description of the API", () => {
  for (const path of addresses) {
    it.live(`at ${path} is for any agent and for operators`, () =>
      Effect.gen(function*() {
        const { get, operator } = yield* serving({ docs: true })
        for (const token of [secrets.triage, secrets.release, secrets.ghost, secrets.reader, operator]) {
          const { response, text } = yield* get(path, token)
          assert.strictEqual(response.status, 200)
          assert.include(text, "Run the agent's heartbeat")
          for (const secret of [...Object.values(secrets), operator]) assert.notInclude(text, secret)
          assert.strictEqual((yield* get(path, token, "HEAD")).response.status, 200)
        }
      }))

    it.live(`at ${path} is refused to everybody else`, () =>
      Effect.gen(function*() {
        const { get, operator } = yield* serving({ docs: true })
        for (const [token, reason] of [[undefined, "missing"], [`${operator}x`, "invalid"], ["guess", "invalid"]]) {
          const { response, text } = yield* get(path, token)
          assert.strictEqual(response.status, 401)
          assert.match(response.headers.get("www-authenticate") ?? "", /^Bearer realm="everbeat"/u)
          assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
          assert.strictEqual(JSON.parse(text).reason, reason)
          assert.strictEqual((yield* get(path, token, "HEAD")).response.status, 401)
        }
      }))

    it.live(`at ${path} is for everybody when the host says so`, () =>
      Effect.gen(function*() {
        const { get } = yield* serving({ docs: true, publicDescription: true })
        for (const token of [undefined, "guess", secrets.triage]) {
          const { response, text } = yield* get(path, token)
          assert.strictEqual(response.status, 200)
          assert.include(text, "Run the agent's heartbeat")
        }
        assert.strictEqual((yield* get("/api/ready")).response.status, 401)
      }))
  }

  it.live("is a page only when the host says so", () =>
    Effect.gen(function*() {
      const { get } = yield* serving({ publicDescription: true })
      assert.strictEqual((yield* get("/api/docs", secrets.triage)).response.status, 404)
      const page = yield* (yield* serving({ docs: true })).get("/api/docs", secrets.triage)
      assert.match(page.response.headers.get("content-type") ?? "", /^text\/html/u)
    }))
})

describe("an address or a method that is not of the API", () => {
  for (
    const [method, path, status] of [
      ["GET", "/api/nope", 404],
      ["GET", "/api/agents/triage", 404],
      ["GET", "/api/docs", 404],
      ["GET", "/api/agents/triage/heartbeat", 405],
      ["DELETE", "/api/agents/nobody/heartbeat", 405],
      ["PUT", "/api/agents/triage/runs/01a1fc4b-0e11-76af-a7f8-60f1a1b3dc01", 405]
    ] as const
  ) {
    it.live(`says the same to everybody: ${method} ${path}`, () =>
      Effect.gen(function*() {
        const { call, operator } = yield* serving({})
        const texts = new Set<string>()
        for (const token of [undefined, "guess", secrets.triage, secrets.release, secrets.ghost, operator]) {
          const answer = yield* call(path, { method, token })
          assert.strictEqual(answer.status, status)
          texts.add(answer.text)
        }
        assert.strictEqual(texts.size, 1)
      }))
  }
})
