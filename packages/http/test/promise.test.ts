import { createEverbeat, heartbeat, InvalidOptions } from "@everbeat/core/promise"
import { FastifyAdapter, HonoAdapter, NextAdapter } from "@everbeat/http"
import { createHandler, createToken, type Handler, hashToken, tokens } from "@everbeat/http/promise"
import { memoryStore } from "@everbeat/store-memory/promise"
import express from "express"
import fastify from "fastify"
import { Hono } from "hono"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { describe, expect, it, vi } from "vitest"

const gate = () => {
  let open = (): void => {}
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, promise }
}

const verify = (token: string) => token === "s3cret" ? { agentName: "triage", tokenId: "triage-1" } : null

const request = (init: RequestInit = {}, path = "/api/agents/triage/heartbeat") =>
  new Request(`http://localhost${path}`, { method: "POST", headers: { authorization: "Bearer s3cret" }, ...init })

const greeting = heartbeat("greeting", { warnings: ["late"] }).step("greet", (ctx) => {
  ctx.warn("late", `late for ${JSON.stringify(ctx.payload)}`)
})

const make = () => createEverbeat({ store: memoryStore(), heartbeats: { triage: greeting } })

describe("a handler of an instance", () => {
  it("serves its heartbeats and runs, and resumes and discards", async () => {
    await using everbeat = make()
    const seen: Array<unknown> = []
    const handler = createHandler(everbeat, {
      auth: async (token, { agentName, path, signal }) => {
        seen.push([agentName, path, signal.aborted])
        return verify(token)
      }
    })
    const response = await handler.fetch(
      request({ body: "{\"n\":1}", headers: { "authorization": "Bearer s3cret", "content-type": "application/json" } })
    )
    expect([response.status, response.headers.get("everbeat-status")]).toEqual([200, "warning"])
    const report: unknown = await response.json()
    expect(report).toMatchObject({ agentName: "triage", status: "warning", warnings: ["greet: late for {\"n\":1}"] })
    expect(seen).toEqual([["triage", "/api/agents/triage/heartbeat", false]])
    const { items } = await everbeat.runs.list({ agentName: "triage" })
    expect(items).toMatchObject([{ callerId: "triage-1" }])
    const read = await handler.fetch(request({ method: "GET" }, `/api/agents/triage/runs/${items[0]?.runId}`))
    expect(await read.json()).toMatchObject({ warnings: [{ code: "late" }] })
    const checkpoints = await handler.fetch(request({ method: "GET" }, "/api/agents/triage/checkpoints"))
    expect(await checkpoints.json()).toMatchObject({ items: [] })
    const foreign = await handler.fetch(request({}, "/api/agents/other/heartbeat"))
    expect(foreign.status).toBe(403)
    const unknown = await handler.fetch(request({ headers: { authorization: "Bearer guess" } }))
    expect(unknown.status).toBe(401)
  })

  it("accepts tokens by their digests", async () => {
    const { sha256, token, tokenId } = await createToken({ environment: "test" })
    expect([await hashToken(token), token.startsWith(`evb_test_${tokenId}_`)]).toEqual([sha256, true])
    await using everbeat = make()
    const handler = createHandler(everbeat, { auth: tokens({ triage: ["0".repeat(64), sha256] }) })
    const response = await handler.fetch(request({ headers: { authorization: `Bearer ${token}` } }))
    expect(response.status).toBe(200)
    const { items } = await everbeat.runs.list()
    expect(items).toMatchObject([{ callerId: "triage-2" }])
  })

  it("continues and discards what was interrupted, with recovery of the instance", async () => {
    const started = gate()
    let tries = 0
    const steps = heartbeat().step("wait", async (ctx) => {
      if (++tries > 1) return
      started.open()
      await new Promise((_, reject) =>
        ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason), { once: true })
      )
    })
    await using everbeat = createEverbeat({
      store: memoryStore(),
      heartbeats: { triage: steps },
      recovery: { pollInterval: "1 hour", maxPollInterval: "1 hour" }
    })
    const handler = createHandler(everbeat, { auth: verify })
    await everbeat.ready()
    const controller = new AbortController()
    const call = everbeat.run("triage", { signal: controller.signal }).catch(() => undefined)
    await started.promise
    controller.abort()
    await call
    const listed = await handler.fetch(request({ method: "GET" }, "/api/agents/triage/checkpoints"))
    const { items: [run] } = await listed.json()
    expect(run).toMatchObject({ status: "interrupted" })
    const resumed = await handler.fetch(request({}, `/api/agents/triage/checkpoints/${run.runId}/resume`))
    expect(resumed.status).toBe(202)
    await vi.waitFor(async () => expect(await everbeat.runs.get(run.runId)).toMatchObject({ status: "ok" }))
  })

  it("is mounted in node:http, Express, Fastify, Hono and Next", async () => {
    await using everbeat = make()
    const listen = async (handler: Handler, host: "node" | "express") => {
      const server = host === "node"
        ? createServer(handler.node)
        : createServer(express().use("/api/agents", handler.node))
      await once(server.listen(0, "127.0.0.1"), "listening")
      const { port } = server.address() as AddressInfo
      const response = await fetch(`http://127.0.0.1:${port}/api/agents/triage/heartbeat`, {
        method: "POST",
        headers: { authorization: "Bearer s3cret" }
      })
      await handler.dispose()
      server.close()
      return response.status
    }
    const handler = () => createHandler(everbeat, { auth: verify })
    expect(await listen(handler(), "node")).toBe(200)
    expect(await listen(handler(), "express")).toBe(200)
    const app = fastify()
    app.register(FastifyAdapter.toFastifyPlugin(handler()), { prefix: "/api/agents" })
    const injected = await app.inject({
      method: "POST",
      url: "/api/agents/triage/heartbeat",
      headers: { authorization: "Bearer s3cret" }
    })
    expect(injected.statusCode).toBe(200)
    await app.close()
    const hono = new Hono().all("/api/agents/*", HonoAdapter.toHonoHandler(handler()))
    expect((await hono.request(request())).status).toBe(200)
    expect((await NextAdapter.toNextRoutes(handler()).POST(request())).status).toBe(200)
  })
})

describe("dispose", () => {
  const waiting = () => {
    const started = gate()
    const release = gate()
    const steps = heartbeat({ grace: 5 }).step("wait", async (ctx) => {
      started.open()
      await Promise.race([
        release.promise,
        new Promise((_, reject) =>
          ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason), { once: true })
        )
      ])
    })
    const everbeat = createEverbeat({
      store: memoryStore(),
      heartbeats: { triage: steps, other: greeting },
      recovery: false
    })
    return { everbeat, handler: createHandler(everbeat, { auth: verify }), release, started: started.promise }
  }

  it("of the handler ends its own passes, and leaves the instance to others", async () => {
    const { everbeat, handler, release, started } = waiting()
    const response = handler.fetch(request())
    await started
    const disposed = handler.dispose()
    expect((await handler.fetch(request())).status).toBe(503)
    release.open()
    expect((await response).status).toBe(200)
    await disposed
    expect((await everbeat.run("other")).status).toBe("warning")
    const again = createHandler(everbeat, { auth: () => ({ agentName: "other", tokenId: "o" }) })
    expect((await again.fetch(request({}, "/api/agents/other/heartbeat"))).status).toBe(200)
    await again.dispose()
    await everbeat.dispose()
  })

  it("of the handler interrupts what does not end in time, and no pass of others", async () => {
    const { everbeat, handler, release, started } = waiting()
    const own = everbeat.run("triage")
    await started
    const refused = await handler.fetch(request())
    expect(refused.status).toBe(409)
    await handler.dispose({ graceMs: 0 })
    release.open()
    expect((await own).status).toBe("ok")
    await everbeat.dispose()
  })

  it("of the instance alone drains its handlers first", async () => {
    const { everbeat, handler, started } = waiting()
    const response = handler.fetch(request())
    await started
    await everbeat.dispose({ graceMs: 0 })
    expect((await response).status).toBe(503)
    const late = await handler.fetch(request())
    expect([late.status, late.headers.get("retry-after")]).toEqual([503, "5"])
    await handler.dispose()
  })
})

describe("options", () => {
  it("that the types allow are taken", async () => {
    await using everbeat = make()
    const handler = createHandler(
      everbeat,
      {
        auth: verify,
        basePath: "",
        docs: false,
        errorStatus: 200,
        graceMs: 1_000,
        maxBodyBytes: 1_000,
        operatorTokens: [],
        publicDescription: true,
        publicReadiness: true,
        rateLimit: { limit: 10, windowMs: 1_000 },
        respondWithinMs: 60_000,
        waitUntil: () => undefined
      } satisfies Required<Parameters<typeof createHandler>[1]>
    )

    expect((await handler.fetch(request())).status).toBe(200)
    expect((await handler.fetch(new Request("http://localhost/api/openapi.json"))).status).toBe(200)
    await handler.dispose()
  })

  it("that are wrong are told of at once", async () => {
    await using everbeat = make()
    const wrong: ReadonlyArray<() => unknown> = [
      () => createHandler({} as never, { auth: verify }),
      () => createHandler(everbeat, {} as never),
      () => createHandler(everbeat, { auth: verify, base: "/x" } as never),
      // @ts-expect-error -- the instance tells of settled runs
      () => createHandler(everbeat, { auth: verify, onSettled: () => {} }),
      () => tokens({}),
      () => tokens({ triage: "the token itself" })
    ]
    for (const call of wrong) expect(call).toThrow(InvalidOptions)
    expect(() => tokens({ triage: "the token itself" })).not.toThrow("the token itself")
  })
})
