/**
 * OpenWorkflow. Its `handle.result()` asks once a second whether the run has ended, and cannot be told to ask more often:
 * of that, a number of runs per second would say nothing else. So callers hear of the end from its backend, when the
 * statement that records it has been answered.
 */
import { OpenWorkflow } from "openworkflow"
import { BackendPostgres } from "openworkflow/postgres"
import type { Open } from "./system.ts"

type Completed = Awaited<ReturnType<BackendPostgres["completeWorkflowRun"]>>

/** Calls back with every run whose end is recorded. */
const observed = (backend: BackendPostgres, ended: (run: Completed) => void): BackendPostgres => {
  const complete = backend.completeWorkflowRun.bind(backend)
  backend.completeWorkflowRun = async (params) => {
    const run = await complete(params)
    ended(run)
    return run
  }
  return backend
}

export const open: Open = async ({ concurrency, url, variant }) => {
  /** Of runs that are waited for, and of those that ended before anybody could wait. */
  const waiting = new Map<string, (run: Completed) => void>()
  const early = new Map<string, Completed>()
  const backend = observed(await BackendPostgres.connect(url), (run) => {
    const waiter = waiting.get(run.id)
    if (waiter === undefined) early.set(run.id, run)
    else waiter(run)
    waiting.delete(run.id)
  })
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
  const worker = client.newWorker({ concurrency: variant === "" ? concurrency : Number(variant) })
  await worker.start()
  return {
    run: async (caller) => {
      const { workflowRun: { id } } = await five.run({ from: caller })
      const run = early.get(id) ?? await new Promise<Completed>((resolve) => waiting.set(id, resolve))
      early.delete(id)
      if (run.output !== caller + 5) throw new Error(`five steps came to ${JSON.stringify(run.output)}`)
    },
    close: async () => {
      await worker.stop()
      await backend.stop()
    }
  }
}
