import * as Effect from "effect/Effect"
import type { AgentName } from "../AgentName.ts"
import type { CheckpointStore } from "../CheckpointStore.ts"
import type { Lease } from "../Lease.ts"
import type { RunId } from "../RunId.ts"
import { AgentBusy, RunNotFound } from "../StoreError.ts"

/**
 * What an engine without a store runs on: single flight within the process,
 * and a clean no-op for everything else.
 */
export const makeVolatile = (): CheckpointStore["Service"] => {
  const busy = new Map<AgentName, RunId>()
  const agents = new Map<RunId, AgentName>()
  const free = ({ runId }: Lease) =>
    Effect.sync(() => {
      const agentName = agents.get(runId)
      agents.delete(runId)
      if (agentName !== undefined) busy.delete(agentName)
    })
  const notFound = (runId: RunId) => Effect.fail(new RunNotFound({ runId }))
  return {
    begin: ({ exclusive, meta, owner }) =>
      Effect.suspend(() => {
        const runId = busy.get(meta.agentName)
        if (exclusive && runId !== undefined) return Effect.fail(new AgentBusy({ runId, retryAfterMillis: 1000 }))
        if (exclusive) {
          busy.set(meta.agentName, meta.runId)
          agents.set(meta.runId, meta.agentName)
        }
        return Effect.succeed({ _tag: "Begun", lease: { runId: meta.runId, owner, fence: 0 } } as const)
      }),
    save: (_, { position, rows }) => Effect.succeed({ position: position + rows.length, cancelRequested: false }),
    settle: free,
    release: free,
    renew: (leases) =>
      Effect.succeed(leases.map(({ runId }) => ({ runId, state: "renewed", cancelRequested: false } as const))),
    claim: notFound,
    claimNext: () => Effect.succeed([]),
    requestCancel: notFound,
    load: notFound,
    listInterrupted: () => Effect.succeed({ items: [] }),
    delete: free,
    ping: Effect.void
  }
}
