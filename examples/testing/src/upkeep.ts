/** What is tested: a heartbeat that closes issues, given the forge that it works on. */
import { heartbeat } from "@everbeat/core/promise"

export interface Forge {
  readonly stale: (signal: AbortSignal) => Promise<ReadonlyArray<string>>
  readonly close: (url: string) => Promise<void>
}

export class RateLimited extends Error {}

export const upkeep = (forge: Forge) =>
  heartbeat("upkeep", { failsWith: { RateLimited } })
    .step("sync", (ctx) => forge.stale(ctx.signal), { timeout: "10 seconds", durability: "sync" })
    .step("close", async (ctx) => {
      await Promise.all(ctx.results.sync.map((url) => forge.close(url)))
      for (const url of ctx.results.sync) ctx.touch(url)
    })
