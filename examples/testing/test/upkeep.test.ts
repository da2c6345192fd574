/** Tests with vitest: `npx vitest`. */
import { TestEverbeat } from "@everbeat/store-memory/testing"
import { expect, it } from "vitest"
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
  expect([report.status, report.touchedIssueUrls, closed]).toEqual(["ok", ["https://forge.example/7"], [
    "https://forge.example/7"
  ]])
})

it("reports a rate limit, and closes nothing", async () => {
  const closed: Array<string> = []
  const limited = { ...forgeOf(closed), stale: () => Promise.reject(new RateLimited("The limit is spent.")) }
  await using test = TestEverbeat.make({ heartbeats: { triage: upkeep(limited) } })
  const report = await test.everbeat.run("triage")
  expect([report.errors.map((error) => error.code), closed]).toEqual([["RateLimited"], []])
})

it("gives up on a forge that does not answer", async () => {
  const silent = { ...forgeOf([]), stale: () => new Promise<never>(() => {}) }
  await using test = TestEverbeat.make({ heartbeats: { triage: upkeep(silent) } })
  const call = test.everbeat.run("triage")
  await test.advance("1 minute")
  const report = await call
  expect(report.errors.map((error) => error.code)).toEqual(["StepTimeout"])
})

it("closes each issue once, also when the process dies after it has looked for them", async () => {
  const closed: Array<string> = []
  await using test = TestEverbeat.make({ heartbeats: { triage: upkeep(forgeOf(closed)) } })
  // The first write begins the pass, the second one keeps what `sync` answered.
  const { crashed } = await test.crashAfterWrite(2, (everbeat) => everbeat.run("triage"))
  const report = await test.everbeat.run("triage")
  expect([crashed, report.status, closed]).toEqual([true, "ok", ["https://forge.example/7"]])
})
