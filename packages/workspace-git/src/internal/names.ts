import { isRunId, type RunId } from "@everbeat/core/RunId"
import { createHash } from "node:crypto"

/** Everything that names a run in the repository: safe in a ref and in a file name, on every file system. */
export const keyOf = (runId: string): string =>
  isRunId(runId) ? runId : `x${createHash("sha256").update(runId).digest("hex")}`

const hiddenRoot = "refs/everbeat/checkpoints/"
const branchRoot = "refs/heads/checkpoint/"

export const roots = [hiddenRoot, branchRoot]

/** The folder of a run's hidden refs. */
export const hiddenOf = (runId: RunId): string => `${hiddenRoot}${keyOf(runId)}/`

export const hiddenRef = (runId: RunId, seq: number): string => `${hiddenOf(runId)}${String(seq).padStart(6, "0")}`

export const branchRef = (runId: RunId): string => `${branchRoot}${keyOf(runId)}`

/** The number at the end of a hidden ref, 0 for any other ref. */
export const seqOf = (ref: string): number => Number(/^refs\/everbeat\/checkpoints\/[^/]+\/(\d+)$/.exec(ref)?.[1] ?? 0)

/** Whether a text from a checkpoint is an object id: SHA-1 or SHA-256. */
export const isObjectId = (text: string): boolean => /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text)

/** How many hidden refs of a run stay. */
export const keptRefs = 3
