import { assert, describe, it } from "@effect/vitest"
import { check } from "../checker.ts"
import type { Contents, Stored } from "../contents.ts"
import type { Entry, Line } from "../journal.ts"
import { foremost, type Offence, silence, type Violation } from "../offences.ts"

const run = "run-1"
const leaseMillis = 2000
const second = 1_000_000

type Fields = Partial<Record<string, unknown>>

/** A line of a journal. A call took a tenth of a second. */
const line = (seconds: number, entry: Fields & { readonly e: Entry["e"] }, w = "worker-1.1"): Line => {
  const t = seconds * second
  return { run, owner: w, fence: 1, t0: t - second / 10, t, w, ...entry } as unknown as Line // fields of every kind
}

const rows = (...digests: ReadonlyArray<string>) => digests.map((digest, row) => ({ row, digest }))
const outcome = (row: number, name: string, startedAt = `${name} began`) => ({
  row,
  digest: `${name} ${startedAt}`,
  step: { name, startedAt }
})

const begun = line(1, { e: "granted", how: "begun", kind: "agent", agent: "a", position: 0, iteration: 0, rows: [] })
const saved = line(2, { e: "saved", position: 2, iteration: 1, rows: rows("one", "two") })
const claim = {
  e: "granted",
  how: "claimNext",
  kind: "agent",
  agent: "a",
  fence: 2,
  position: 2,
  iteration: 1
} as const
const claimed = line(10, { ...claim, rows: rows("one", "two") }, "worker-2.1")
const asked = line(11.8, { e: "asked", op: "settle", fence: 2 }, "worker-2.1")
const settled = line(12, { e: "settled", status: "ok", fence: 2 }, "worker-2.1")
const good = [begun, saved, claimed, asked, settled]

const record: Stored = {
  run,
  state: "settled",
  fence: 2,
  position: 0,
  iteration: 0,
  status: "ok",
  steps: new Map(),
  residue: []
}
const kept = (change: Partial<Stored> = {}): Contents => ({ runs: [{ ...record, ...change }], strays: [] })

const found = (lines: ReadonlyArray<Line>, contents = kept()): ReadonlyArray<Offence> =>
  Array.from(
    new Set(check(lines.toSorted((a, b) => a.t - b.t), contents, leaseMillis).map(({ offence }) => offence))
  )

const beat = (agentRun: string, seconds: number, fields: Fields = {}) =>
  line(seconds, {
    e: "granted",
    how: "begun",
    kind: "heartbeat",
    agent: "triage",
    position: 0,
    iteration: 0,
    rows: [],
    run: agentRun,
    ...fields
  })
const both: Contents = { runs: [record, { ...record, run: "run-2" }], strays: [] }

const report = {
  e: "reported",
  agent: "a",
  key: undefined,
  status: "ok",
  origin: "executed",
  recorded: true
} as const

type Case = readonly [what: string, offence: Offence, lines: ReadonlyArray<Line>, contents?: Contents]

const bad: ReadonlyArray<Case> = [
  [
    "a claim that hands out fewer rows than were saved",
    "lostAcknowledged",
    [begun, saved, line(10, { ...claim, position: 1, rows: rows("one") }), asked, settled]
  ],
  [
    "a claim that hands out another row than was saved",
    "lostAcknowledged",
    [begun, saved, line(10, { ...claim, rows: rows("one", "other") }), asked, settled]
  ],
  [
    "a claim that hands out an older iteration",
    "lostAcknowledged",
    [begun, saved, line(10, { ...claim, iteration: 0, rows: rows("one", "two") }), asked, settled]
  ],
  [
    "a position that goes back",
    "lostAcknowledged",
    [...good, line(3, { e: "refused", op: "save", why: "Conflict", position: 1 })]
  ],
  [
    "an attempt that is given less than the one before was told is durable",
    "lostAcknowledged",
    [
      ...good,
      line(3, { e: "flushed", iteration: 1, messages: ["one", "two"] }),
      line(10.5, { e: "attempt", attempt: 2, fence: 2, iteration: 1, messages: ["one"] })
    ]
  ],
  ["a run that is gone", "lostAcknowledged", good, { runs: [], strays: [] }],
  ["a record with another status", "lostAcknowledged", good, kept({ status: "error" })],
  [
    "a settled run that is in flight",
    "lostAcknowledged",
    good,
    kept({ state: "in flight", status: undefined, position: 2, iteration: 1 })
  ],
  [
    "a record with another outcome than was saved",
    "lostAcknowledged",
    [
      begun,
      line(2, { e: "saved", position: 1, rows: [outcome(0, "fetch")] }),
      line(11.8, { e: "asked", op: "settle" }),
      line(12, { e: "settled", status: "ok" })
    ],
    kept({ steps: new Map([["fetch", "later"]]) })
  ],
  ["a save of an owner who was replaced", "acceptedAfterFence", [
    ...good,
    line(11, { e: "saved", position: 2, rows: [] })
  ]],
  ["a renewal for an owner who was replaced", "acceptedAfterFence", [...good, line(11, { e: "renewed" })]],
  ["a save after the end", "acceptedAfterFence", [...good, line(13, { e: "saved", fence: 2, position: 2, rows: [] })]],
  ["a fence that is handed out twice", "doubleClaims", [...good, { ...claimed, t: 11 * second }]],
  [
    "a claim while the lease lives",
    "doubleClaims",
    [begun, saved, line(3, { ...claim, rows: rows("one", "two") }), asked, settled]
  ],
  [
    "a claim while the lease was renewed",
    "doubleClaims",
    [...good, line(9, { e: "renewed" })]
  ],
  ["two passes of an agent at once", "doubleClaims", [beat(run, 1), beat("run-2", 2)], both],
  [
    "a key that begins two runs",
    "doubleClaims",
    [beat(run, 1, { key: "k" }), line(2, { e: "asked", op: "settle" }), beat("run-2", 3, { key: "k" })],
    both
  ],
  [
    "a run that does not end",
    "stuck",
    [begun, saved],
    kept({ state: "in flight", status: undefined, position: 2, iteration: 1 })
  ],
  [
    "a step that begins again after its outcome was saved",
    "repeatedSyncSteps",
    [
      begun,
      line(2, { e: "saved", position: 1, rows: [outcome(0, "fetch")] }),
      line(10, { ...claim, rows: [outcome(0, "fetch")] }),
      line(11, { e: "step", step: "fetch", fence: 2 })
    ],
    kept({ steps: new Map([["fetch", "fetch began"]]) })
  ],
  [
    "a step that begins after the end, by a worker that has written something since another one has the run",
    "repeatedSyncSteps",
    [...good, line(12.9, { e: "told", what: "AgentBusy" }), line(13, { e: "step", step: "fetch" })]
  ],
  [
    "the second step that begins after the end",
    "repeatedSyncSteps",
    [...good, line(13, { e: "step", step: "fetch" }), line(13.1, { e: "step", step: "compare" })]
  ],
  [
    "a tool call that is made again after its outcome was durable",
    "repeatedCalls",
    [
      ...good,
      line(2, { e: "did", call: "call-1" }),
      line(3, { e: "kept", call: "call-1" }),
      line(11, { e: "did", call: "call-1", fence: 2 })
    ]
  ],
  [
    "a sync step that begins again although the next one had begun, whatever was acknowledged",
    "repeatedSyncSteps",
    [
      ...good,
      line(2.5, { e: "step", step: "fetch", sync: true }),
      line(3, { e: "step", step: "compare", sync: false }),
      line(11, { e: "step", step: "fetch", sync: true, fence: 2 })
    ]
  ],
  ["a claim after the end", "doubleClaims", [...good, line(20, { ...claim, fence: 3, rows: rows("one", "two") })]],
  [
    "a fence that is smaller than one before",
    "doubleClaims",
    [begun, saved, line(8, { ...claim, fence: 3, rows: rows("one", "two") }), claimed, asked, settled]
  ],
  [
    "a claim while the lease lives, after a settlement that was refused",
    "doubleClaims",
    [
      begun,
      saved,
      line(2.2, { e: "asked", op: "settle" }),
      line(3, { ...claim, rows: rows("one", "two") }),
      asked,
      settled
    ]
  ],
  [
    "a run that fails although nothing in it does",
    "failed",
    [...good.slice(0, 4), line(12, { e: "settled", status: "error", fence: 2 })],
    kept({ status: "error" })
  ],
  [
    "a report of a run that is in flight",
    "lostAcknowledged",
    [begun, saved, line(3, report)],
    kept({ state: "in flight", status: undefined, position: 2, iteration: 1 })
  ],
  ["a report that the record does not agree with", "lostAcknowledged", [
    ...good,
    line(13, { ...report, status: "warning" })
  ]],
  ["a pass that is reported well and was not recorded", "lostAcknowledged", [
    ...good,
    line(13, { ...report, recorded: false })
  ]],
  [
    "a key that is answered with the run of another",
    "doubleClaims",
    [
      beat(run, 1, { key: "k" }),
      line(2, { e: "asked", op: "settle" }),
      line(13, { ...report, agent: "triage", key: "other" })
    ]
  ],
  ["a caller who is told of a bug", "defects", [...good, line(13, { e: "defect", what: "TypeError" })]],
  ["a run that is settled twice", "settledTwice", [...good, line(13, { e: "settled", status: "ok", fence: 2 })]],
  ["rows of a run that has ended", "leftBehind", good, kept({ residue: ["2 rows"] })],
  ["rows of no run", "leftBehind", good, { ...kept(), strays: ["2 rows of run-3"] }]
]

describe("the checker of the chaos harness", () => {
  it("finds nothing in a run that was continued after a crash", () => {
    assert.deepStrictEqual(found(good), [])
  })

  it("finds nothing where a write was under way when the next owner claimed", () => {
    const late = { ...saved, t: 11 * second }
    assert.deepStrictEqual(found([begun, late, claimed, asked, settled]), [])
  })

  it("finds nothing in the first thing that a worker writes after it was frozen between its look at the lease and that", () => {
    assert.deepStrictEqual(found([...good, line(13, { e: "step", step: "fetch" })]), [])
  })

  it("finds nothing in a claim right behind a release", () => {
    const released = line(2.5, { e: "asked", op: "release" })
    assert.deepStrictEqual(
      found([begun, saved, released, line(3, { ...claim, rows: rows("one", "two") }), asked, settled]),
      []
    )
  })

  it("finds nothing in a step that begins again because its outcome was not acknowledged", () => {
    const steps = [line(2, { e: "step", step: "fetch" }), line(11, { e: "step", step: "fetch", fence: 2 })]
    assert.deepStrictEqual(found([...good, ...steps]), [])
  })

  it("finds nothing in a sync step that begins again because the store did not answer", () => {
    const steps = [
      line(2, { e: "step", step: "fetch", sync: true }),
      line(2.5, { e: "unanswered", op: "save" }),
      line(3, { e: "step", step: "compare", sync: false }),
      line(11, { e: "step", step: "fetch", sync: true, fence: 2 })
    ]
    assert.deepStrictEqual(found([...good, ...steps]), [])
  })

  it("finds nothing in reports that the records agree with", () => {
    const joined = line(13, { ...report, origin: "joined", key: "mine", agent: "triage" })
    assert.deepStrictEqual(found([...good, line(12.5, report), joined]), [])
  })

  it("finds nothing in a pass that is given up after two attempts without progress", () => {
    const given = line(10, { ...claim, exhausted: true, rows: rows("one", "two") })
    const ended = line(12, { e: "settled", status: "error", fence: 2 })
    assert.deepStrictEqual(found([begun, saved, given, asked, ended], kept({ status: "error" })), [])
  })

  it("takes what has not ended for stuck when the store is silent", () => {
    const other = { ...begun, run: "run-2" }
    assert.deepStrictEqual(
      silence([...good, other], "gone").map(({ offence, run }) => [offence, run]),
      [["stuck", "run-2"]]
    )
    assert.lengthOf(silence(good, "gone"), 1)
  })

  it("finds nothing in passes of an agent one after the other", () => {
    assert.deepStrictEqual(found([beat(run, 1), line(2, { e: "asked", op: "settle" }), beat("run-2", 3)], both), [])
  })

  it.for(bad)("finds %s", ([, offence, lines, contents]) => {
    assert.include(found(lines, contents), offence)
  })
})

describe("what is shown of many violations", () => {
  it("begins with one of each kind", () => {
    const of = (offence: Offence, run: number): Violation => ({ offence, run: `run-${run}`, what: "" })
    const lost = Array.from({ length: 20 }, (_, n) => of("lostAcknowledged", n))
    const shown = foremost([...lost, of("stuck", 20)])
    assert.deepStrictEqual(shown.slice(0, 3), [of("lostAcknowledged", 0), of("stuck", 20), of("lostAcknowledged", 1)])
    assert.lengthOf(shown, 21)
  })
})
