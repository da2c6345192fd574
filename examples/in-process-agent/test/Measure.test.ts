import { assert, describe, it } from "@effect/vitest"
import type { Line } from "../src/Journal.ts"
import * as Measure from "../src/Measure.ts"

const attempt = (attempt: number, iteration: number): Line => ({
  event: "attempt",
  pid: attempt,
  attempt,
  iteration,
  runId: "run",
  reason: "",
  input: "",
  cwd: "",
  inPlace: true
})

const line = (event: "executing" | "saved", attempt: number, iteration: number, title = `Step ${iteration}`): Line => ({
  event,
  pid: attempt,
  attempt,
  iteration,
  title
})

const executing = (attempt: number, iteration: number, title?: string) => line("executing", attempt, iteration, title)
const saved = (attempt: number, iteration: number, title?: string) => line("saved", attempt, iteration, title)

const good: Measure.Verdict = {
  timeoutResumed: true,
  killResumed: true,
  iterationsRepeated: 0,
  claims: 1,
  branchPruned: true,
  mainMoved: false
}

const bad: ReadonlyArray<Partial<Measure.Verdict>> = [
  { timeoutResumed: false },
  { killResumed: false },
  { iterationsRepeated: 1 },
  { claims: 0 },
  { claims: 2 },
  { branchPruned: false },
  { mainMoved: true }
]

describe("what the demo measures", () => {
  it("an iteration is repeated when it begins again after it was saved, by its number or by its work", () => {
    const first = [attempt(1, 0), executing(1, 1), saved(1, 1), executing(1, 2)]
    assert.strictEqual(Measure.repeated([...first, executing(2, 2), saved(2, 2)]), 0)
    assert.strictEqual(Measure.repeated([...first, executing(2, 1)]), 1)
    assert.strictEqual(Measure.repeated([...first, executing(2, 2, "Step 1")]), 1)
  })

  it("an attempt that starts over, or behind what was saved, continues nothing", () => {
    const first = [attempt(1, 0), executing(1, 1), saved(1, 1), executing(1, 2), saved(1, 2)]
    assert.isTrue(Measure.isContinued([...first, attempt(2, 2), saved(2, 3)]))
    assert.isTrue(Measure.isContinued([...first, attempt(2, 3), saved(2, 4)]), "saved, and killed before its line")
    assert.isFalse(Measure.isContinued(first), "one attempt")
    assert.isFalse(Measure.isContinued([...first, attempt(2, 2)]), "it did nothing")
    assert.isFalse(Measure.isContinued([...first, attempt(2, 1), saved(2, 2)]))
    assert.isFalse(Measure.isContinued([...first, attempt(2, 0), saved(2, 1)]))
    assert.isFalse(Measure.isContinued([attempt(1, 0), attempt(2, 0), saved(2, 1)]), "nothing was saved before")
  })

  it("claims are the attempts after the first one, whoever made them", () => {
    assert.strictEqual(Measure.claims([attempt(1, 0), attempt(2, 1), attempt(3, 1)]), 2)
  })

  it.each(bad)("the demo does not succeed with %o", (change) => {
    assert.isTrue(Measure.isAsPromised(good))
    assert.isFalse(Measure.isAsPromised({ ...good, ...change }))
  })
})
