import { createEverbeat, heartbeat } from "@everbeat/core/promise"
import { memoryStore } from "@everbeat/store-memory/promise"
import { assert, describe, it } from "vitest"

describe("memoryStore", () => {
  it("is one store for all instances that are created with it, also one after the other", async () => {
    const store = memoryStore()
    let running = 0
    let most = 0
    const create = (kept = store) =>
      createEverbeat({
        store: kept,
        heartbeats: {
          triage: heartbeat().step("sync", async () => {
            most = Math.max(most, ++running)
            await new Promise((resolve) => setTimeout(resolve, 5))
            running--
          })
        }
      })
    const first = create()
    const second = create()
    const ended = await Promise.allSettled([first.run("triage"), second.run("triage")])
    assert.deepStrictEqual(ended.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"])
    assert.strictEqual(most, 1)
    await first.dispose()
    await second.dispose()
    await using third = create()
    assert.lengthOf((await third.runs.list()).items, 1)
    await using other = create(memoryStore())
    assert.lengthOf((await other.runs.list()).items, 0)
  })
})
