import { agent, createEverbeat, heartbeat, InvalidOptions } from "@everbeat/core/promise"
import { postgresStore } from "@everbeat/store-postgres/promise"
import { Pool } from "pg"
import { afterAll, describe, expect, it, vi } from "vitest"
import { freshSchema, url } from "./support/database.ts"

const admin = new Pool({ connectionString: url(), max: 1 })
const schemas: Array<string> = []
const schemaOf = (): string => {
  const schema = freshSchema()
  schemas.push(schema)
  return schema
}
afterAll(async () => {
  await Promise.all(schemas.map((schema) => admin.query(`drop schema if exists "${schema}" cascade`)))
  await admin.end()
})

const greeting = heartbeat("greeting").step("greet", async (ctx) => `hello, ${ctx.agentName}`)

/** Connections of an application to the server. */
const connections = async (name: string): Promise<number> => {
  const { rows } = await admin.query("select count(*)::int as n from pg_stat_activity where application_name = $1", [
    name
  ])
  return rows[0].n
}

describe("postgresStore", () => {
  it("uses the pool of the host, and never ends it", async () => {
    const pool = new Pool({ connectionString: url() })
    const schema = schemaOf()
    const everbeat = createEverbeat({ store: postgresStore({ pool, schema }), heartbeats: { triage: greeting } })
    expect((await everbeat.run("triage")).recorded).toBe(true)
    await everbeat.dispose()
    const { rows } = await pool.query("select 1 as one")
    expect(rows).toEqual([{ one: 1 }])
    await pool.end()
  })

  it("ends a pool of its own when the instance is disposed", async () => {
    const schema = schemaOf()
    const application = `everbeat-${schema}`
    const store = postgresStore({
      connectionString: url(),
      schema,
      maxConnections: 2,
      connectTimeout: "5 seconds",
      config: { application_name: application }
    })
    const everbeat = createEverbeat({ store, heartbeats: { triage: greeting } })
    await everbeat.ready()
    expect(await connections(application)).toBeGreaterThan(0)
    await everbeat.dispose()
    await vi.waitFor(async () => expect(await connections(application)).toBe(0), { timeout: 10_000 })
  })

  it("continues in one instance what another one left", async () => {
    const schema = schemaOf()
    const store = () => postgresStore({ connectionString: url(), schema })
    let started = (): void => {}
    const running = new Promise<void>((resolve) => {
      started = resolve
    })
    const coder = (end: boolean) =>
      agent("coder", {
        run: async (ctx) => {
          await ctx.checkpoint.save({ messages: [...ctx.resume?.messages ?? [], ctx.attempt], iteration: ctx.attempt })
          await ctx.checkpoint.flush()
          started()
          if (!end) {
            await new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)))
          }
          return ctx.resume?.messages
        }
      })
    const first = createEverbeat({ store: store(), agents: [coder(false)], recovery: false })
    const { runId } = await first.agent.start("coder", { prompt: "go" })
    await running
    await first.dispose({ graceMs: 0 })
    await using second = createEverbeat({ store: store(), agents: [coder(true)], recovery: false })
    expect((await second.checkpoints.list()).items).toMatchObject([{ runId, status: "interrupted", iteration: 1 }])
    const handle = await second.agent.resume("coder", runId)
    expect([handle.origin, await handle.result()]).toEqual(["resumed", [1]])
    expect(await second.runs.get(runId)).toMatchObject({ status: "ok", result: [1] })
  })

  it("says of a server that is down what it is, to each call", async () => {
    const store = postgresStore({ connectionString: "postgres://u:secret@127.0.0.1:1/x", connectTimeout: 500 })
    await using everbeat = createEverbeat({ store, heartbeats: { triage: greeting } })
    const error: unknown = await everbeat.run("triage").catch((error: unknown) => error)
    expect(error).toMatchObject({ name: "StoreError", code: "store-failed", retryable: true })
    expect(error instanceof Error && error.message).not.toContain("secret")
    await expect(everbeat.ready()).rejects.toMatchObject({ code: "store-failed" })
  })

  it("tells of every wrong option, and shows no password", () => {
    const make = () =>
      postgresStore({ pool: {}, connectionString: "postgres://u:secret@h/x", migrate: "always", url: "u" } as never)
    expect(make).toThrow(InvalidOptions)
    expect(make).toThrow("migrate is \"always\"")
    expect(make).not.toThrow("secret")
  })
})
