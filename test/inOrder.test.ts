import { assert, describe, it } from "@effect/vitest"
import { inOrder } from "./servers/inOrder.ts"

describe("what is delayed", () => {
  it("is not overtaken when the delay ends while its timer is late", async () => {
    const seen: Array<string> = []
    let millis = 5
    const call = inOrder(() => millis)
    call(() => seen.push("first"))
    // Nothing else runs meanwhile: the timer is due, and has not fired.
    const due = performance.now() + 10
    while (performance.now() < due);
    millis = 0
    await new Promise<void>((resolve) => {
      call(() => {
        seen.push("second")
        resolve()
      })
    })
    assert.deepStrictEqual(seen, ["first", "second"])
  })

  it("is not overtaken by what is delayed less", async () => {
    const seen: Array<number> = []
    let millis = 12
    const call = inOrder(() => millis)
    await new Promise<void>((resolve) => {
      for (let n = 0; n < 12; n++) {
        call(() => {
          seen.push(n)
          if (n === 11) resolve()
        })
        millis--
      }
    })
    assert.deepStrictEqual(seen, Array.from({ length: 12 }, (_, n) => n))
  })

  it("is called at once without a delay", () => {
    const seen: Array<string> = []
    inOrder(() => 0)(() => seen.push("now"))
    assert.deepStrictEqual(seen, ["now"])
  })
})
