/** The suites of `npm run bench`: a program each, which runs alone. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import type { Report } from "./numbers.ts"

const folder = join(import.meta.dirname, "..")

export interface Suite {
  readonly name: string
  readonly file: string
  readonly options: (given: { readonly quick: boolean; readonly data: string | undefined }) => ReadonlyArray<string>
  /** Its numbers, by their names in `ratios.ts`. */
  readonly ratios: (summary: Report["summary"]) => Readonly<Record<string, unknown>>
  readonly needsPeers: boolean
}

const asGiven: Suite["ratios"] = (summary) => summary
const onlyQuick: Suite["options"] = ({ quick }) => quick ? ["--quick"] : []

const all: ReadonlyArray<Suite> = [
  {
    name: "save",
    file: "peers/save.ts",
    options: ({ data, quick }) => [...(quick ? ["--quick"] : []), ...(data === undefined ? [] : ["--data", data])],
    ratios: asGiven,
    needsPeers: true
  },
  { name: "passes", file: "peers/passes.ts", options: onlyQuick, ratios: asGiven, needsPeers: true },
  { name: "recovery", file: "peers/recovery.ts", options: onlyQuick, ratios: asGiven, needsPeers: true },
  {
    name: "workspace",
    file: "workspace.ts",
    options: ({ quick }) => ["--files", "10000", "--rounds", quick ? "5" : "9", ...(quick ? ["--quick"] : [])],
    ratios: (summary) => ({
      snapshotVsGitStatus: summary["snapshotVsGitStatus"],
      snapshotVsStash: summary["snapshotVsStash"],
      snapshotVsShadow: summary["snapshotVsShadow"]
    }),
    needsPeers: false
  },
  {
    name: "http",
    file: "http.ts",
    options: onlyQuick,
    ratios: (summary) => ({ httpVsBare: summary["time16VsBare"], httpVsPasses: summary["time16VsPasses"] }),
    needsPeers: false
  },
  {
    name: "core",
    file: "core.ts",
    options: onlyQuick,
    ratios: (summary) => ({
      stepsPerSecondMemory: summary["stepsPerSecondMemory"],
      stepVsTimeout: summary["syncVsTimeout"],
      asyncStepVsTimeout: summary["asyncVsTimeout"]
    }),
    needsPeers: false
  },
  {
    name: "size",
    file: "size.ts",
    options: ({ quick }) => quick ? ["--main", "--rounds", "3"] : [],
    ratios: (summary) => ({
      importVsNeeded: summary["importVsNeeded"],
      ownKilobytes: summary["ownKilobytes"],
      bundleKilobytes: summary["bundleKilobytes"]
    }),
    needsPeers: false
  }
]

export const suites: ReadonlyArray<Suite> = all.flatMap((suite) => {
  const file = join(folder, suite.file)
  return existsSync(file) ? [{ ...suite, file }] : []
})
