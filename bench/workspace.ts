/**
 * What a snapshot of an agent's files costs, beside one `git status` of the same
 * repository: generated repositories of 10,000 and 50,000 files. Before the first
 * snapshot 693 lines of 20 files change, and before the next one as many; for that work, `git stash create` and a commit
 * into a shadow repository are measured too. All take their turns in one process, started in the
 * same way, so noise of the machine hits all; only their ratios mean something.
 *
 *   npm run bench:workspace                a table
 *   npm run bench:workspace -- --json      one line of JSON
 *   npm run bench:workspace -- --files N   one repository of N files
 *   npm run bench:workspace -- --rounds N  rounds per repository (default 9)
 *   npm run bench:workspace -- --quick     nothing is restored
 *
 * The exit code is 1 when a limit does not hold. A limit with milliseconds allows them beside the ratio: they pay for
 * the processes, which cost the same in any repository. `processes` counts those of the first, the next, and an
 * unchanged snapshot.
 */
import { NodeChildProcessSpawner, NodeFileSystem, NodePath } from "@effect/platform-node-shared"
import { AgentName, RunId, Workspace, type WorkspaceSnapshot } from "@everbeat/core"
import { GitWorkspace } from "@everbeat/workspace-git"
import { Effect, Layer, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { execFileSync } from "node:child_process"
import { appendFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, unlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { performance } from "node:perf_hooks"
import { parseArgs } from "node:util"
import { conclude, median, print, round, short } from "./support/numbers.ts"

const { values } = parseArgs({
  options: {
    files: { type: "string" },
    rounds: { type: "string" },
    quick: { type: "boolean" },
    json: { type: "boolean" }
  }
})
const sizes = values.files === undefined ? [10_000, 50_000] : [Number(values.files)]
const rounds = Number(values.rounds ?? 9)

const git = (cwd: string, ...args: ReadonlyArray<string>): string =>
  execFileSync("git", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim()

const lines = (count: number, tag: string): string =>
  Array.from({ length: count }, (_, index) => `${tag}: line ${index} of a file of ordinary length\n`).join("")

/** Files of 2 KB or so, 40 in each folder. */
const generate = (root: string, files: number): void => {
  mkdirSync(root)
  git(root, "init", "-q", "-b", "main")
  git(root, "config", "gc.auto", "0")
  for (let index = 0; index < files; index++) {
    const path = join(root, pathOf(index))
    if (index % 40 === 0) mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, lines(45, `${index}`))
  }
  git(root, "add", "-A")
  git(root, "-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "-q", "-m", "base")
  git(root, "gc", "-q")
}

const pathOf = (index: number): string =>
  `packages/p${Math.floor(index / 2000)}/src/f${Math.floor(index / 40) % 50}/file${index % 40}.ts`

/** 16 files modified, 3 new and 1 deleted: 693 lines. Each `turn` is about other files. */
const work = (root: string, turn: number): void => {
  for (let index = 0; index < 16; index++) appendFileSync(join(root, pathOf(index * 601 + turn)), lines(35, "changed"))
  for (const [index, count] of [30, 29, 29].entries()) {
    writeFileSync(join(root, `new${turn}-${index}.ts`), lines(count, "new"))
  }
  unlinkSync(join(root, pathOf(9999 - turn)))
}

const undo = (root: string): void => {
  git(root, "checkout", "-q", "--", ".")
  git(root, "clean", "-fdq")
}

let processes = 0

const platform = NodeChildProcessSpawner.layer.pipe(
  Layer.provideMerge(Layer.merge(NodeFileSystem.layer, NodePath.layer))
)

const counting = Layer.effect(
  ChildProcessSpawner.ChildProcessSpawner,
  Effect.map(ChildProcessSpawner.ChildProcessSpawner, (inner) =>
    ChildProcessSpawner.make((command) => {
      processes++
      return inner.spawn(command)
    }))
).pipe(Layer.provideMerge(platform))

/** A command of git, started like those of a snapshot. */
const command = (cwd: string, ...args: ReadonlyArray<string>) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* ChildProcess.make("git", args, { cwd, stdin: "ignore" })
    yield* Stream.runDrain(handle.stdout)
    yield* handle.exitCode
  }))

/** `git status` as people run it. */
const status = (cwd: string) => command(cwd, "status", "--porcelain")

/** What one would use instead. A stash knows nothing of new files. */
const others = ["git stash create", "shadow repository"] as const

/** A second repository over the same files, with a commit for each snapshot, as tools for checkpoints have it. */
const shadow = {
  folder: (root: string) => `${root}-shadow`,
  create: (root: string) => {
    const [at, identity] = [shadow.folder(root), ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]]
    mkdirSync(at)
    git(at, "init", "-q", "--bare", "-b", "main")
    git(at, "config", "gc.auto", "0")
    git(root, `--git-dir=${at}`, `--work-tree=${root}`, "add", "-A")
    git(root, ...identity, `--git-dir=${at}`, `--work-tree=${root}`, "commit", "-q", "-m", "base")
    git(at, "config", "user.name", "bench")
    git(at, "config", "user.email", "bench@example.com")
  },
  snapshot: (root: string) => {
    const where = [`--git-dir=${shadow.folder(root)}`, `--work-tree=${root}`]
    return Effect.andThen(
      command(root, ...where, "add", "-A"),
      command(root, ...where, "commit", "-q", "-m", "snapshot")
    )
  }
}

interface Row {
  readonly files: number
  readonly name: string
  readonly millis: Array<number>
  readonly floor: Array<number>
}

/** What came of one repository. */
interface Measured {
  readonly files: number
  readonly rows: ReadonlyArray<Row>
  /** Processes by the name of the row. */
  readonly counts: Readonly<Record<string, number>>
  readonly status: number
}

const agentName = AgentName.make("bench")

const measure = Effect.fnUntraced(function*(files: number, root: string) {
  const workspace = yield* Workspace.Workspace
  const names = ["first", "next", "unchanged", "known paths", "final", "restore", ...others] as const
  const rows = new Map(names.map((name): [string, Row] => [name, { files, name, millis: [], floor: [] }]))
  const floors: Array<number> = []
  const counts: Record<string, number> = {}

  const timed = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
    const started = performance.now()
    const value = yield* effect
    return [performance.now() - started, value] as const
  })
  /** Each measurement has a floor of its own, taken right before it. */
  const measured = Effect.fnUntraced(function*<A, E, R>(name: (typeof names)[number], effect: Effect.Effect<A, E, R>) {
    const [floor] = yield* timed(status(root))
    const before = processes
    const [millis, value] = yield* timed(effect)
    counts[name] = processes - before
    rows.get(name)?.millis.push(millis)
    rows.get(name)?.floor.push(floor)
    floors.push(floor)
    return value
  })
  const taken = (input: Partial<Workspace.SnapshotInput> & { readonly runId: RunId.RunId }) =>
    Effect.map(workspace.snapshot({ reason: "interval", cwd: root, deadline: "2 minutes", ...input }), (result) => {
      if (result._tag === "Skipped") throw new Error(`skipped: ${result.why}`)
      return result.snapshot
    })

  yield* Effect.sync(() => shadow.create(root))
  // One round more, which does not count.
  for (let index = -1; index < rounds; index++) {
    yield* Effect.sync(() => undo(root))
    yield* status(root)
    const runId = RunId.make(agentName)
    work(root, 0)
    let newest: WorkspaceSnapshot.WorkspaceSnapshot = yield* measured("first", taken({ runId }))
    yield* shadow.snapshot(root)
    work(root, 1)
    // Each has the same new work to find, and is the first one to look in a third of the rounds.
    const rivals = [
      Effect.gen(function*() {
        newest = yield* measured("next", taken({ runId, previous: newest }))
      }),
      measured("git stash create", command(root, "stash", "create")),
      measured("shadow repository", shadow.snapshot(root))
    ]
    const start = (index + 1) % rivals.length
    for (const rival of [...rivals.slice(start), ...rivals.slice(0, start)]) yield* rival
    newest = yield* measured("unchanged", taken({ runId, previous: newest }))
    const paths = [1, 2, 3].map((file) => pathOf(file * 997))
    for (const path of paths) appendFileSync(join(root, path), lines(5, "known"))
    newest = yield* measured("known paths", taken({ runId, previous: newest, paths }))
    const seed = RunId.make(agentName)
    newest = yield* measured("final", taken({ runId: seed, reason: "timeout" }))
    if (index < 3 && values.quick !== true) {
      const target = `${root}-restored`
      yield* measured("restore", workspace.restore({ snapshot: newest, target, branch: "detached" }))
      git(root, "worktree", "remove", "--force", target)
    }
    yield* workspace.prune(seed, { cwd: root })
    yield* workspace.prune(runId, { cwd: root })
    if (index === -1) {
      floors.length = 0
      for (const { floor, millis } of rows.values()) floor.length = millis.length = 0
    }
  }
  return { files, rows: [...rows.values()], counts, status: median(floors) }
})

const folder = realpathSync(mkdtempSync(join(tmpdir(), "everbeat-bench-")))
const remove = (): void => rmSync(folder, { recursive: true, force: true })
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => {
    remove()
    process.exit(1)
  })
}
try {
  const results: Array<Measured> = []
  for (const files of sizes) {
    const root = join(folder, `repo${files}`)
    generate(root, files)
    const layer = GitWorkspace.layerPlatform({ cwd: root }).pipe(Layer.provideMerge(counting))
    results.push(await Effect.runPromise(Effect.provide(measure(files, root), layer)))
    rmSync(root, { recursive: true })
    rmSync(shadow.folder(root), { recursive: true })
  }
  /** How many times `git status` a snapshot takes, when so many milliseconds are for the processes. */
  const ratio = ({ floor, millis }: Row, allowed = 0): number => (median(millis) - allowed) / median(floor)
  const rowOf = (result: Measured, name: string): Row => {
    const row = result.rows.find((row) => row.name === name)
    if (row === undefined) throw new Error(`nothing measured for ${name}`)
    return row
  }
  const limits = results.flatMap((result) =>
    [
      {
        name: `${result.files} unchanged / status`,
        value: ratio(rowOf(result, "unchanged")),
        operator: "<=",
        limit: 1.5
      },
      {
        name: `${result.files} (next - 15 ms) / status`,
        value: ratio(rowOf(result, "next"), 15),
        operator: "<=",
        limit: 2.5
      },
      {
        name: `${result.files} (first - 20 ms) / status`,
        value: ratio(rowOf(result, "first"), 20),
        operator: "<=",
        limit: 3
      },
      { name: `${result.files} processes of first`, value: result.counts["first"] ?? NaN, operator: "<=", limit: 6 },
      { name: `${result.files} processes of next`, value: result.counts["next"] ?? NaN, operator: "<=", limit: 5 },
      {
        name: `${result.files} processes of unchanged`,
        value: result.counts["unchanged"] ?? NaN,
        operator: "<=",
        limit: 1
      },
      ...(result.files <= 10_000
        ? [{
          name: `${result.files} final, ms`,
          value: median(rowOf(result, "final").millis),
          operator: "<" as const,
          limit: 1000
        }]
        : [])
    ] as const
  )
  const [smallest] = results
  const times = (name: string): number =>
    smallest === undefined ? NaN : median(rowOf(smallest, "next").millis) / median(rowOf(smallest, name).millis)
  const promised = smallest === undefined ? {} : {
    snapshotVsGitStatus: round(ratio(rowOf(smallest, "next"), 15)),
    snapshotVsStash: round(times("git stash create")),
    snapshotVsShadow: round(times("shadow repository"))
  }
  const bySize = Object.fromEntries(results.map((result) => [result.files, {
    statusMs: round(result.status),
    ...Object.fromEntries(
      result.rows.map((row) => [row.name, { ms: round(median(row.millis)), ratio: round(ratio(row)) }])
    ),
    processes: result.counts
  }]))
  conclude({ ...promised, ...bySize }, limits, () =>
    print([
      ["", "files", "median ms", "x status", "processes"],
      ...results.flatMap((result) => [
        ["git status", String(result.files), short(result.status), "1", "1"],
        ...result.rows.map((row) => [
          row.name,
          String(result.files),
          short(median(row.millis)),
          short(ratio(row)),
          String(result.counts[row.name] ?? "")
        ])
      ])
    ]))
} finally {
  remove()
}
