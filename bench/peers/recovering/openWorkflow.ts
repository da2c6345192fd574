import { OpenWorkflow } from "openworkflow"
import { BackendPostgres } from "openworkflow/postgres"
import type { Start } from "./survivor.ts"

export const start: Start = async ({ role, second, url }) => {
  const backend = await BackendPostgres.connect(url)
  const client = new OpenWorkflow({ backend })
  const two = client.defineWorkflow({ name: "two" }, async ({ step }) => {
    await step.run({ name: "first" }, () => Promise.resolve(1))
    await step.run({ name: "second" }, second)
  })
  const worker = client.newWorker({ concurrency: 2 })
  await worker.start()
  if (role === "first") await two.run()
  return async () => {
    await worker.stop()
    await backend.stop()
  }
}
