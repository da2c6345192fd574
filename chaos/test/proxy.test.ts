import { assert, describe, it } from "@effect/vitest"
import { inOrder } from "../../test/servers/proxy.ts"

describe("what a proxy holds back", () => {
  it("is not overtaken by what comes when the delay is over and the timers are late", async () => {
    const seen: Array<number> = []
    let delay = 5
    const later = inOrder(() => delay)
    later(() => seen.push(1))
    // The process is busy, or another one has its processor.
    for (const until = performance.now() + 20; performance.now() < until;) { /* nothing else */ }
    delay = 0
    later(() => seen.push(2))
    await new Promise<void>((resolve) => later(resolve))
    assert.deepStrictEqual(seen, [1, 2])
  })
})
