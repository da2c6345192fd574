/** OpenWorkflow: the caller asks once a second whether its run has ended, and cannot be told to ask more often. */
import { OpenWorkflow } from "openworkflow"
import { BackendPostgres } from "openworkflow/postgres"
import type { Open } from "./system.ts"

export const open: Open = async ({ concurrency, url }) => {
  const backend = await BackendPostgres.connect(url)
  const client = new OpenWorkflow({ backend })
  const five = client.defineWorkflow<{ readonly from: number }, number>(
    { name: "five" },
    async ({ input, step }) => {
      let sum = input.from
      for (let index = 0; index < 5; index++) {
        const before = sum
        sum = await step.run({ name: `step-${index}` }, () => Promise.resolve(before + 1))
      }
      return sum
    }
  )
  const worker = client.newWorker({ concurrency })
  await worker.start()
  return {
    run: async (caller) => {
      const handle = await five.run({ from: caller })
      const sum = await handle.result()
      if (sum !== caller + 5) throw new Error(`five steps came to ${sum}`)
    },
    close: async () => {
      await worker.stop()
      await backend.stop()
    }
  }
}
