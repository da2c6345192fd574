import { inject } from "@effect/vitest"
import { createEverbeat, heartbeat, InvalidOptions } from "@everbeat/core/promise"
import { redisStore } from "@everbeat/store-redis/promise"
import { Redis } from "ioredis"
import { describe, expect, it, vi } from "vitest"
import { fresh } from "./support.ts"

const greeting = heartbeat("greeting").step("greet", async (ctx) => `hello, ${ctx.agentName}`)

describe("redisStore", () => {
  it("uses the client of the host, and never closes it", async () => {
    const client = new Redis(inject("redisUrl"))
    const warnings: Array<string> = []
    const store = redisStore({ client, prefix: fresh("promise"), onWarning: ({ message }) => warnings.push(message) })
    const everbeat = createEverbeat({ store, heartbeats: { triage: greeting } })
    const report = await everbeat.run("triage", { key: "k" })
    expect([report.status, report.recorded]).toEqual(["ok", true])
    expect((await everbeat.run("triage", { key: "k" })).origin).toBe("replayed")
    await everbeat.dispose()
    expect(await client.ping()).toBe("PONG")
    client.disconnect()
  })

  it("closes a connection of its own when the instance is disposed", async () => {
    const admin = new Redis(inject("redisUrl"))
    const name = fresh("promise").replaceAll(/[^\w-]/gu, "")
    const clients = async () =>
      String(await admin.call("CLIENT", "LIST")).split("\n").filter((line) => line.includes(name))
    const store = redisStore({ url: inject("redisUrl"), redis: { connectionName: name }, prefix: fresh("promise") })
    const everbeat = createEverbeat({ store, heartbeats: { triage: greeting } })
    await everbeat.ready()
    expect(await clients()).toHaveLength(1)
    await everbeat.dispose()
    await vi.waitFor(async () => expect(await clients()).toEqual([]), { timeout: 10_000 })
    admin.disconnect()
  })

  it("tells of every wrong option, and shows no password", () => {
    expect(() => redisStore({})).toThrow("client is undefined")
    const make = () => redisStore({ client: 1, url: "redis://:secret@h", partitions: 0, prefixes: "x" } as never)
    expect(make).toThrow(InvalidOptions)
    expect(make).toThrow("partitions is 0")
    expect(make).not.toThrow("secret")
  })
})
