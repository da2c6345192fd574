import { DBOS } from "@dbos-inc/dbos-sdk"
import type { Start } from "./survivor.ts"

export const start: Start = async ({ identity, role, second, url }) => {
  const two = DBOS.registerWorkflow(async () => {
    await DBOS.runStep(() => Promise.resolve(1), { name: "first" })
    await DBOS.runStep(second, { name: "second" })
  }, { name: "two" })
  DBOS.setConfig({
    name: "bench",
    systemDatabaseUrl: url,
    logLevel: "error",
    executorID: identity,
    applicationVersion: "1"
  })
  await DBOS.launch()
  if (role === "first") await DBOS.startWorkflow(two, { workflowID: "survivor" })()
  return () => DBOS.shutdown()
}
