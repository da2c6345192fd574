import * as Semaphore from "effect/Semaphore"
import type { Repository } from "./repository.ts"

/** What this process knows of a worktree. */
export interface WorktreeState {
  /** One snapshot or restore at a time. */
  readonly semaphore: Semaphore.Semaphore
  /** How long periodic snapshots wait after one that took too long. 0: they do not wait. */
  backOffMillis: number
  notBefore: number
}

/** What a user's index was like when it was looked at. */
export interface IndexStamp {
  readonly size: bigint
  readonly written: string
}

/** What this process knows of a run's private index in a worktree. */
export interface SideState {
  /** The tree that the index holds, when it is that of the newest snapshot and nothing was added since. */
  tree: string | undefined
  /** What tells that the user's index is still the one that was looked at for files added by force. */
  userIndex: IndexStamp | undefined
  /** Paths that the agent named since the last full scan. */
  readonly named: Set<string>
  partial: number
}

/** What this process knows of a run's refs in a repository. */
export interface RunState {
  /** The newest snapshot that this process has published. While it is the newest of all, the rest here is true. */
  last: string | undefined
  names: Array<string>
  /** What the checkpoint branch points at. `undefined`: there is none. */
  branch: string | undefined
  /** A branch `checkpoint` of the user is in the way of ours. */
  branchBlocked: boolean
  warned: boolean
}

const maxEntries = 10_000

const getOrMake = <A>(map: Map<string, A>, key: string, make: () => A): A => {
  const found = map.get(key)
  if (found !== undefined) return found
  // Bounded: what is forgotten is read from the repository again.
  const [oldest] = map.keys()
  if (map.size >= maxEntries && oldest !== undefined) map.delete(oldest)
  const made = make()
  map.set(key, made)
  return made
}

/** What one workspace remembers between operations. It may be lost at any time: nothing but speed depends on it. */
export class State {
  readonly repositories = new Map<string, Repository>()
  readonly #worktrees = new Map<string, WorktreeState>()
  readonly #sides = new Map<string, SideState>()
  readonly #runs = new Map<string, RunState>()
  version: string | undefined

  worktree(repository: Repository): WorktreeState {
    return getOrMake(this.#worktrees, repository.top, () => ({
      semaphore: Semaphore.makeUnsafe(1),
      backOffMillis: 0,
      notBefore: 0
    }))
  }

  side(repository: Repository, key: string): SideState {
    return getOrMake(
      this.#sides,
      `${repository.top}\0${key}`,
      () => ({ tree: undefined, userIndex: undefined, named: new Set<string>(), partial: 0 })
    )
  }

  run(repository: Repository, key: string): RunState {
    return getOrMake(this.#runs, `${repository.common}\0${key}`, () => ({
      last: undefined,
      names: [],
      branch: undefined,
      branchBlocked: false,
      warned: false
    }))
  }

  forget(repository: Repository, key: string): void {
    this.#runs.delete(`${repository.common}\0${key}`)
    for (const side of [...this.#sides.keys()]) {
      if (side.endsWith(`\0${key}`)) this.#sides.delete(side)
    }
  }
}
