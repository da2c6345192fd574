/** The same with the test runner of Node.js: `node --test`. */
/* oxlint-disable typescript/no-floating-promises -- the runner waits for its tests */
import { TestEverbeat } from "@everbeat/store-memory/testing"
import assert from "node:assert/strict"
import { it } from "node:test"
import { type Forge, RateLimited, upkeep } from "../src/upkeep.ts"

/** A forge with one stale issue. */
const forgeOf = (closed: Array<string>): Forge => ({
  stale: async () => ["https://forge.example/7"],
  close: async (url) => void closed.push(url)
})

it("closes what is stale, and says which issues it touched", async () => {
  const closed: Array<string> = []
  await using test = TestEverbeat.make({ heartbeats: { triage: upkeep(forgeOf(closed)) } })
  const report = await test.everbeat.run("triage")
  assert.deepEqual([report.status, report.touchedIssueUrls, closed], ["ok", ["https://forge.example/7"], [
    "https://forge.example/7"
  ]])
})

it("reports a rate limit, and closes nothing", async () => {
  const closed: Array<string> = []
  const limited = { ...forgeOf(closed), stale: () => Promise.reject(new RateLimited("The limit is spent.")) }
  await using test = TestEverbeat.make({ heartbeats: { triage: upkeep(limited) } })
  const report = await test.everbeat.run("triage")
  assert.deepEqual([report.errors.map((error) => error.code), closed], [["RateLimited"], []])
})

it("gives up on a forge that does not answer", async () => {
  const silent = { ...forgeOf([]), stale: () => new Promise<never>(() => {}) }
  await using test = TestEverbeat.make({ heartbeats: { triage: upkeep(silent) } })
  const call = test.everbeat.run("triage")
  await test.advance("1 minute")
  const report = await call
  assert.deepEqual(report.errors.map((error) => error.code), ["StepTimeout"])
})

it("closes each issue once, also when the process dies after it has looked for them", async () => {
  const closed: Array<string> = []
  await using test = TestEverbeat.make({ heartbeats: { triage: upkeep(forgeOf(closed)) } })
  // The first write begins the pass, the second one keeps what `sync` answered.
  const { crashed } = await test.crashAfterWrite(2, (everbeat) => everbeat.run("triage"))
  const report = await test.everbeat.run("triage")
  assert.deepEqual([crashed, report.status, closed], [true, "ok", ["https://forge.example/7"]])
})
