import type { RunMeta } from "../AgentRun.ts"

const keys: ReadonlyArray<keyof RunMeta> = [
  "runId",
  "kind",
  "agentName",
  "agentId",
  "callerId",
  "channelId",
  "guildId",
  "prompt",
  "modelTier",
  "parentRunId",
  "definition",
  "payload"
]

/** The meta of a run without its other fields, and without fields that are there but undefined. */
export const pickMeta = (run: RunMeta): RunMeta =>
  // Every key of a meta that has a value is taken, so the required ones are there.
  Object.fromEntries(keys.flatMap((key) => run[key] === undefined ? [] : [[key, run[key]]])) as unknown as RunMeta
