import { createEverbeat, heartbeat, InvalidInputError, InvalidOptions } from "@everbeat/core/promise"
import { memoryStore } from "@everbeat/store-memory/promise"
import { describe, expect, it } from "vitest"

const upkeep = heartbeat("upkeep").step("sync", () => 1)

const make = () => createEverbeat({ store: memoryStore(), heartbeats: { triage: upkeep, release: upkeep } })

describe("runs", () => {
  it("are pruned in as many batches as it takes", async () => {
    const agents = Array.from({ length: 2101 }, (_, index) => `agent-${index}`)
    const heartbeats = Object.fromEntries(["triage", ...agents].map((name) => [name, upkeep]))
    await using everbeat = createEverbeat({ store: memoryStore(), heartbeats })
    await Promise.all(agents.map((name) => everbeat.run(name)))
    await everbeat.run("triage", { key: "kept" })
    expect(await everbeat.runs.prune({})).toBe(0)
    expect(await everbeat.runs.prune({ olderThan: "1 day" })).toBe(0)
    expect(await everbeat.runs.prune({ keepLast: 0 })).toBe(2101)
    const { items } = await everbeat.runs.list()
    expect(items.map(({ agentName }) => agentName)).toEqual(["triage"])
  })

  it("of an agent or of a caller are erased, also those with a key", async () => {
    await using everbeat = make()
    await everbeat.run("triage", { key: "a", callerId: "ann" })
    await everbeat.run("release", { callerId: "ann" })
    await everbeat.run("release", { callerId: "ben" })
    expect(await everbeat.runs.erase({ agentName: "triage" })).toBe(1)
    expect(await everbeat.runs.erase({ callerId: "ann" })).toBe(1)
    const { items } = await everbeat.runs.list()
    expect(items.map(({ agentName, callerId }) => [agentName, callerId])).toEqual([["release", "ben"]])
  })

  it("are not deleted by a call that does not say which", async () => {
    await using everbeat = make()
    await everbeat.run("triage")
    await expect(everbeat.runs.erase({} as never)).rejects.toBeInstanceOf(InvalidInputError)
    await expect(everbeat.runs.erase({ agentName: "a", callerId: "b" })).rejects.toBeInstanceOf(
      InvalidInputError
    )
    await expect(everbeat.runs.erase({ agentName: "no name" })).rejects.toBeInstanceOf(InvalidInputError)
    await expect(everbeat.runs.prune({ olderThen: "1 day" } as never)).rejects.toBeInstanceOf(InvalidOptions)
    await expect(everbeat.runs.prune({ keepLast: -1 })).rejects.toBeInstanceOf(InvalidOptions)
    expect((await everbeat.runs.list()).items).toHaveLength(1)
  })
})
