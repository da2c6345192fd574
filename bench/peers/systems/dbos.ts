/** DBOS Transact. */
import { DBOS } from "@dbos-inc/dbos-sdk"
import type { Open } from "./system.ts"

const five = DBOS.registerWorkflow(async (from: number) => {
  let sum = from
  for (let step = 0; step < 5; step++) {
    const before = sum
    sum = await DBOS.runStep(() => Promise.resolve(before + 1), { name: `step-${step}` })
  }
  return sum
}, { name: "five" })

export const open: Open = async ({ url, variant }) => {
  DBOS.setConfig({
    name: "bench",
    systemDatabaseUrl: url,
    logLevel: "error",
    systemDatabasePoolSize: variant === "" ? 20 : Number(variant)
  })
  await DBOS.launch()
  return {
    run: async (caller) => {
      const sum = await five(caller)
      if (sum !== caller + 5) throw new Error(`five steps came to ${sum}`)
    },
    close: () => DBOS.shutdown()
  }
}
