import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { Claims } from "../src/Claims.ts"
import { Reporting } from "../src/Reporting.ts"
import type { TicketWrite } from "../src/Ticket.ts"
import { Tracker, TrackerControl } from "../src/Tracker.ts"

const urlOf = (number: number, repository = "a/b") => `https://forge.example/${repository}/issues/${number}`

const ticket = (number: number, fields: Partial<TicketWrite> = {}): TicketWrite => ({
  repository: "a/b",
  number,
  title: `Ticket ${number}`,
  state: "open",
  assignee: null,
  url: urlOf(number, fields.repository),
  forgeUpdatedAt: DateTime.makeUnsafe("2026-01-01T00:00:00Z"),
  ...fields
})

const withTracker = Effect.provide(
  Layer.mergeAll(Claims.layer, Reporting.layerWith({ keep: 2 })).pipe(Layer.provideMerge(Tracker.layer))
)

describe("Claims", () => {
  it.effect("gives a ticket to one agent at a time", () =>
    Effect.gen(function*() {
      yield* (yield* Tracker).write([ticket(1)])
      const claims = yield* Claims
      const claimed = yield* claims.claim("ada", urlOf(1))
      assert.strictEqual(claimed.claim?.agent, "ada")
      const error = yield* Effect.flip(claims.claim("lin", urlOf(1)))
      assert(error._tag === "TicketClaimed")
      assert.strictEqual(error.agent, "ada")
      assert.strictEqual(DateTime.formatIso(error.expiresAt), "1970-01-01T01:00:00.000Z")
    }).pipe(withTracker))

  it.effect("renews the agent's own claim", () =>
    Effect.gen(function*() {
      yield* (yield* Tracker).write([ticket(1)])
      const claims = yield* Claims
      yield* claims.claim("ada", urlOf(1))
      yield* TestClock.adjust("30 minutes")
      const { claim } = yield* claims.claim("ada", urlOf(1))
      assert(claim !== null)
      assert.strictEqual(DateTime.formatIso(claim.claimedAt), "1970-01-01T00:00:00.000Z")
      assert.strictEqual(DateTime.formatIso(claim.expiresAt), "1970-01-01T01:30:00.000Z")
    }).pipe(withTracker))

  it.effect("gives an expired ticket to the next agent", () =>
    Effect.gen(function*() {
      yield* (yield* Tracker).write([ticket(1)])
      const claims = yield* Claims
      yield* claims.claim("ada", urlOf(1))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* claims.claim("lin", urlOf(1))).claim?.agent, "lin")
      assert.strictEqual((yield* Effect.flip(claims.release("ada", urlOf(1))))._tag, "ClaimNotHeld")
    }).pipe(withTracker))

  it.effect("refuses closed and unknown tickets", () =>
    Effect.gen(function*() {
      yield* (yield* Tracker).write([ticket(1, { state: "closed" })])
      const claims = yield* Claims
      assert.strictEqual((yield* Effect.flip(claims.claim("ada", urlOf(1))))._tag, "TicketClosed")
      assert.strictEqual((yield* Effect.flip(claims.claim("ada", urlOf(2))))._tag, "TicketNotFound")
      assert.strictEqual((yield* Effect.flip(claims.release("ada", urlOf(2))))._tag, "TicketNotFound")
    }).pipe(withTracker))

  it.effect("releases claims that expired or whose ticket is closed", () =>
    Effect.gen(function*() {
      const tracker = yield* Tracker
      const claims = yield* Claims
      yield* tracker.write([ticket(10), ticket(2), ticket(3), ticket(1, { repository: "a/a" })])
      yield* claims.claim("ada", urlOf(10))
      yield* claims.claim("lin", urlOf(1, "a/a"))
      yield* TestClock.adjust("30 minutes")
      yield* claims.claim("nia", urlOf(2))
      yield* claims.claim("nia", urlOf(3))
      yield* tracker.write([ticket(3, { state: "closed" })])
      yield* TestClock.adjust("30 minutes")
      const released = yield* claims.releaseStale
      assert.deepStrictEqual(
        released.map(({ agent, number, reason, repository }) => [repository, number, agent, reason]),
        [
          ["a/a", 1, "lin", "expired"],
          ["a/b", 3, "nia", "closed"],
          ["a/b", 10, "ada", "expired"]
        ]
      )
      assert.deepStrictEqual(yield* claims.releaseStale, [])
      assert.deepStrictEqual((yield* tracker.list("a/b")).map(({ claim, number }) => [number, claim?.agent ?? null]), [
        [2, "nia"],
        [3, null],
        [10, null]
      ])
    }).pipe(withTracker))

  it.effect("does not release a claim that was renewed since it was found stale", () =>
    Effect.gen(function*() {
      const tracker = yield* Tracker
      yield* tracker.write([ticket(1)])
      yield* (yield* Claims).claim("ada", urlOf(1))
      yield* TestClock.adjust("1 hour")
      const stale = yield* tracker.stale
      yield* (yield* Claims).claim("ada", urlOf(1))
      assert.deepStrictEqual(yield* tracker.release(stale), [])
      assert.strictEqual(Option.getOrThrow(yield* tracker.find(urlOf(1))).claim?.agent, "ada")
    }).pipe(withTracker))

  it.effect("takes a ticket back from its agent", () =>
    Effect.gen(function*() {
      yield* (yield* Tracker).write([ticket(1)])
      const claims = yield* Claims
      yield* claims.claim("ada", urlOf(1))
      assert.strictEqual((yield* Effect.flip(claims.release("lin", urlOf(1))))._tag, "ClaimNotHeld")
      assert.strictEqual((yield* claims.release("ada", urlOf(1))).reason, "returned")
      assert.strictEqual((yield* claims.claim("lin", urlOf(1))).claim?.agent, "lin")
    }).pipe(withTracker))
})

describe("Tracker", () => {
  it.effect("refuses every operation while it is down, and forgets nothing", () =>
    Effect.gen(function*() {
      const control = yield* TrackerControl
      const tracker = yield* Tracker
      yield* tracker.write([ticket(1)])
      const [before] = yield* tracker.list("a/b")
      assert(before !== undefined)
      yield* control.setAvailable(false)
      const errors = yield* Effect.all([
        Effect.flip(tracker.list("a/b")),
        Effect.flip(tracker.find(urlOf(1))),
        Effect.flip(tracker.write([ticket(1, { title: "Lost" })])),
        Effect.flip(tracker.claim("ada", urlOf(1), "1 hour")),
        Effect.flip(tracker.stale),
        Effect.flip(tracker.release([before])),
        Effect.flip((yield* Reporting).compose("1", ["a/b"]))
      ])
      assert.isTrue(errors.every((error) => error._tag === "TrackerUnavailable"))
      yield* control.setAvailable(true)
      assert.deepStrictEqual(yield* tracker.list("a/b"), [before])
    }).pipe(withTracker))
})

describe("Reporting", () => {
  it.effect("counts tickets by repository and keeps the last reports", () =>
    Effect.gen(function*() {
      const reporting = yield* Reporting
      yield* (yield* Tracker).write([
        ticket(1),
        ticket(2, { assignee: "ada" }),
        ticket(3, { state: "closed" }),
        ticket(1, { repository: "a/a" })
      ])
      yield* (yield* Claims).claim("lin", urlOf(2))
      const report = yield* reporting.compose("first", ["a/b", "a/a", "a/none"])
      assert.deepStrictEqual(report.repositories, [
        { repository: "a/b", open: 2, closed: 1, claimed: 1, unassigned: 1 },
        { repository: "a/a", open: 1, closed: 0, claimed: 0, unassigned: 1 },
        { repository: "a/none", open: 0, closed: 0, claimed: 0, unassigned: 0 }
      ])
      assert.deepStrictEqual(report.total, { open: 3, closed: 1, claimed: 1, unassigned: 2 })
      yield* reporting.compose("second", ["a/b"])
      yield* reporting.compose("second", ["a/b"])
      assert.deepStrictEqual((yield* reporting.reports).map(({ id }) => id), ["second", "first"])
      yield* reporting.compose("third", ["a/b"])
      assert.deepStrictEqual((yield* reporting.reports).map(({ id }) => id), ["third", "second"])
      assert.strictEqual(Option.getOrThrow(yield* reporting.latest).id, "third")
    }).pipe(withTracker))
})
