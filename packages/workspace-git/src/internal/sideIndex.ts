import { GitFailed, type WorkspaceError } from "@everbeat/core/WorkspaceError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import { pathList, split } from "./bytes.ts"
import type { Deps } from "./deps.ts"
import { sizeOf } from "./files.ts"
import type { Repository } from "./repository.ts"
import type { IndexStamp, SideState } from "./state.ts"

/** The private index of a run in a worktree. */
export const fileOf = ({ path }: Deps, { side }: Repository, key: string): string => path.join(side, `${key}.index`)

const asGitFailed = (error: PlatformError) => new GitFailed({ command: "index", exitCode: -1, stderr: error.message })

/** Flags that hide edits from git: they are the user's wish for the user's index, not for what is kept. */
const showHidden = Effect.fnUntraced(function*({ git }: Deps, { top }: Repository, index: string) {
  const flags = split((yield* git(["ls-files", "-v", "-z"], { cwd: top, index })).out)
  const assumed = flags.filter((line) => /^[a-z]/.test(line)).map((line) => line.slice(2))
  const skipped = flags.filter((line) => /^s/i.test(line)).map((line) => line.slice(2))
  if (assumed.length > 0) {
    yield* git(["update-index", "--no-assume-unchanged", "-z", "--stdin"], {
      cwd: top,
      index,
      input: pathList(assumed)
    })
  }
  if (skipped.length === 0) return
  const sparse = yield* git(["config", "--type=bool", "--default=false", "core.sparseCheckout"], { cwd: top })
  // In a sparse checkout git itself clears the flag of files that are there.
  if (sparse.out.trim() === "true") return
  const present = skipped.filter((path) => sizeOf(top, path) !== undefined)
  if (present.length === 0) return
  yield* git(["update-index", "--no-skip-worktree", "-z", "--stdin"], { cwd: top, index, input: pathList(present) })
})

const seed = Effect.fnUntraced(function*(deps: Deps, repository: Repository, file: string) {
  const { fs, git } = deps
  const { index, side, top } = repository
  const fresh = `${file}.new`
  yield* fs.makeDirectory(side, { recursive: true })
  for (const rest of [fresh, `${fresh}.lock`]) yield* fs.remove(rest, { force: true })
  const info = yield* Effect.option(fs.stat(index))
  if (Option.isSome(info)) {
    yield* fs.copyFile(index, fresh)
    // git takes a file that is older than the index for unchanged. The copy is newer than the index it was made of, so
    // it would miss an edit of the same size within the same tick: an older stamp only makes git look again.
    const seconds = Option.match(info.value.mtime, { onNone: () => 0, onSome: (time) => time.getTime() / 1000 })
    yield* fs.utimes(fresh, Math.floor(seconds), Math.floor(seconds))
    yield* showHidden(deps, repository, fresh)
  } else {
    const head = yield* git(["rev-parse", "-q", "--verify", "HEAD^{commit}"], { cwd: top, ok: [0, 1, 128] })
    yield* git(head.code === 0 ? ["read-tree", head.out.trim()] : ["read-tree", "--empty"], { cwd: top, index: fresh })
  }
  yield* fs.rename(fresh, file)
})

const stampOf = Effect.fnUntraced(function*({ fs }: Deps, file: string): Effect.fn.Return<IndexStamp> {
  const info = yield* Effect.option(fs.stat(file))
  return Option.match(info, {
    onNone: () => ({ size: 0n, written: "none" }),
    onSome: ({ ino, mtime, size }) => ({
      size,
      written: [Option.getOrUndefined(mtime)?.getTime(), Option.getOrUndefined(ino)].join()
    })
  })
})

/**
 * Ignored files that were added by force after the private index was made: no
 * scan shows them. Costs nothing while the user's index stays as it is. Each
 * `git status` of the user writes it anew, and a new entry makes it larger: only
 * a thorough look is taken whenever it was written.
 */
export const forced = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  file: string,
  side: SideState,
  thorough: boolean
): Effect.fn.Return<ReadonlyArray<string>, WorkspaceError> {
  const stamp = yield* stampOf(deps, repository.index)
  const same = side.userIndex?.size === stamp.size
  if (same && (!thorough || side.userIndex?.written === stamp.written)) return []
  const ignored = (index: string) =>
    Effect.map(
      deps.git(["ls-files", "-z", "--cached", "--ignored", "--exclude-standard"], { cwd: repository.top, index }),
      ({ out }) => split(out)
    )
  const theirs = stamp.written === "none" ? [] : yield* ignored(repository.index)
  const ours = new Set(theirs.length === 0 ? [] : yield* ignored(file))
  side.userIndex = stamp
  return theirs.filter((path) => !ours.has(path))
})

/** Makes the private index from the user's, unless it is there. */
export const ensure = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  file: string,
  side: SideState
): Effect.fn.Return<void, WorkspaceError> {
  const there = yield* Effect.orElseSucceed(deps.fs.exists(file), () => false)
  if (there) return
  const stamp = yield* stampOf(deps, repository.index)
  yield* Effect.catchTag(seed(deps, repository, file), "PlatformError", (error) => Effect.fail(asGitFailed(error)))
  side.userIndex = stamp
})

/** Removes the private index with all that a killed command may have left of it. */
export const remove = ({ fs }: Deps, file: string): Effect.Effect<void> =>
  Effect.forEach(
    [file, `${file}.lock`, `${file}.new`, `${file}.new.lock`],
    (name) => Effect.ignore(fs.remove(name, { force: true })),
    { discard: true }
  )

/** Removes the lock of a command that was killed: only we write this index. */
export const unlock = ({ fs }: Deps, file: string): Effect.Effect<void> =>
  Effect.ignore(fs.remove(`${file}.lock`, { force: true }))

/** Whether a failure says that the private index cannot be read. */
export const isCorrupt = (error: WorkspaceError): boolean =>
  error._tag === "GitFailed" &&
  /index file (?:corrupt|smaller)|bad index|bad signature 0x|unable to map index|bad index version|unordered stage entries|unknown index entry|index uses \S+ extension|cannot read (?:the )?index|unable to read tree|invalid object .* for/
    .test(error.stderr)
