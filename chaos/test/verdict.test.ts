import { assert, describe, it } from "@effect/vitest"
import { isClean, type Report } from "../run.ts"

const report: Report = {
  kills: 1,
  terminations: 1,
  freezes: 1,
  restarts: 1,
  cuts: 1,
  blackouts: 1,
  lostAnswers: 1,
  latencies: 1,
  runs: 10,
  completed: 10,
  lostAcknowledged: 0,
  acceptedAfterFence: 0,
  doubleClaims: 0,
  stuck: 0,
  repeatedSyncSteps: 0,
  repeatedCalls: 0,
  settledTwice: 0,
  failed: 0,
  defects: 0,
  leftBehind: 0,
  crashes: 0,
  idle: 0,
  exhausted: 1,
  givenUp: 1,
  orphans: 0,
  grants: 12,
  acknowledged: 100,
  refused: 3,
  replayed: 2,
  seconds: 60,
  seed: 7,
  store: "redis"
}

describe("the verdict of a run", () => {
  it("is good when nothing is wrong", () => {
    assert.isTrue(isClean(report))
  })

  it.for(
    [
      ["a violation", { doubleClaims: 1 }],
      ["a process that ended by itself", { crashes: 1 }],
      ["a caller who was told of a bug", { defects: 1 }],
      ["a worker that was acknowledged nothing", { idle: 1 }],
      ["nothing that ran", { runs: 0, completed: 0 }],
      ["a run that has not ended", { completed: 9 }]
    ] as const
  )("is bad with %s", ([, change]) => {
    assert.isFalse(isClean({ ...report, ...change }))
  })
})
