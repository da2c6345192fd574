import type { RunId } from "@everbeat/core/RunId"
import {
  BundleTooLarge,
  BundleUnusable,
  RemoteFailed,
  SnapshotTimeout,
  type WorkspaceError
} from "@everbeat/core/WorkspaceError"
import type { WorkspaceSnapshot } from "@everbeat/core/WorkspaceSnapshot"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import type { Deps } from "./deps.ts"
import { isOverflow } from "./git.ts"
import { hiddenOf, hiddenRef, keptRefs, keyOf } from "./names.ts"
import type { Repository } from "./repository.ts"

/** What makes a snapshot survive its machine. */
export interface Durable {
  readonly fields: Pick<WorkspaceSnapshot, "durability" | "bundle" | "pushed" | "degraded">
  readonly bundle: Uint8Array | undefined
  readonly degraded: WorkspaceError | undefined
}

const local: Durable = { fields: { durability: "local" }, bundle: undefined, degraded: undefined }

const degrade = (degraded: WorkspaceError): Durable => ({
  fields: { durability: "local", degraded: degraded.message },
  bundle: undefined,
  degraded
})

/** Packing is bounded by the size that is allowed: this is for a disk that hangs. */
const bundleTimeout = Duration.seconds(30)

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

const create = (deps: Deps, { top }: Repository, ref: string, without: ReadonlyArray<string>) =>
  deps.git(["bundle", "create", "-q", "-", ref, "--not", ...without], {
    cwd: top,
    maxBytes: deps.options.maxBundleBytes
  })

/**
 * The objects that another clone does not have: everything that is on no remote,
 * commits of the agent included. Without a remote, or where that is too much,
 * everything since the run began.
 */
const bundle = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  ref: string,
  start: string | null
): Effect.fn.Return<Durable, WorkspaceError> {
  const { out } = yield* deps.git(["for-each-ref", "--count=1", "refs/remotes"], { cwd: repository.top })
  const sinceStart = create(deps, repository, ref, start === null ? [] : [start])
  const made = out === "" || start === null
    ? sinceStart
    : Effect.catchIf(create(deps, repository, ref, ["--remotes"]), isOverflow, () => sinceStart)
  const { bytes } = yield* made
  return {
    fields: { durability: "inline", bundle: { bytes: bytes.length, sha256: sha256(bytes) } },
    bundle: bytes,
    degraded: undefined
  }
})

const bundleOrLocal = (deps: Deps, repository: Repository, ref: string, start: string | null) =>
  bundle(deps, repository, ref, start).pipe(
    Effect.timeoutOrElse({
      duration: bundleTimeout,
      orElse: () => Effect.fail(new SnapshotTimeout({ operation: "bundle", millis: Duration.toMillis(bundleTimeout) }))
    }),
    Effect.catch((error) =>
      Effect.succeed(
        degrade(isOverflow(error) ? new BundleTooLarge({ maxBytes: deps.options.maxBundleBytes }) : error)
      )
    )
  )

/** A remote that does not answer must not hold up a run that is ending. */
const remotely = (
  deps: Deps,
  { top }: Repository,
  operation: RemoteFailed["operation"],
  args: readonly [string, ...ReadonlyArray<string>]
): Effect.Effect<string, RemoteFailed> =>
  deps.git(args, { cwd: top }).pipe(
    Effect.timeoutOrElse({
      duration: deps.options.remoteTimeout,
      orElse: () => Effect.fail({ message: "it did not answer in time" })
    }),
    Effect.map(({ out }) => out),
    Effect.mapError((error) => new RemoteFailed({ operation, remote: deps.options.remote, detail: error.message }))
  )

const pushRefs = (deps: Deps, repository: Repository, refs: ReadonlyArray<string>) =>
  remotely(deps, repository, "push", ["push", "-q", "--no-verify", "--force", "--", deps.options.remote, ...refs])

const push = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  commit: string,
  ref: string,
  previous: WorkspaceSnapshot | undefined
) {
  const { remote } = deps.options
  const before = previous?.pushed?.remote === remote ? previous.pushed.refs.filter((name) => name !== ref) : []
  const mine = previous === undefined ? [] : before.filter((name) => name.startsWith(hiddenOf(previous.runId)))
  const out = mine.slice(0, Math.max(0, mine.length + 1 - keptRefs))
  const add = `${commit}:${ref}`
  const withOld = pushRefs(deps, repository, [add, ...out.map((name) => `:${name}`)])
  // Somebody else may have removed an old one; the new one goes there all the same.
  const pushed = out.length === 0 ? withOld : Effect.catch(withOld, () => pushRefs(deps, repository, [add]))
  return yield* pushed.pipe(
    Effect.as<Durable>({
      fields: { durability: "push", pushed: { remote, refs: [...mine.filter((name) => !out.includes(name)), ref] } },
      bundle: undefined,
      degraded: undefined
    }),
    Effect.catch((error) => Effect.succeed(degrade(error)))
  )
})

/** Makes a published snapshot as durable as asked for, or says why it is not. */
export const make = (
  deps: Deps,
  repository: Repository,
  input: {
    readonly runId: RunId
    readonly seq: number
    readonly commit: string
    readonly start: string | null
    readonly previous: WorkspaceSnapshot | undefined
  }
): Effect.Effect<Durable> => {
  const ref = hiddenRef(input.runId, input.seq)
  switch (deps.options.durability) {
    case "local":
      return Effect.succeed(local)
    case "inline":
      return bundleOrLocal(deps, repository, ref, input.start)
    case "push":
      return push(deps, repository, input.commit, ref, input.previous)
  }
}

/** The hidden refs of a run on the remote. */
export const listRemote = (deps: Deps, repository: Repository, runId: RunId) =>
  Effect.map(
    remotely(deps, repository, "list", ["ls-remote", "-q", "--", deps.options.remote, `${hiddenOf(runId)}*`]),
    (out) => out.split("\n").flatMap((line) => line === "" ? [] : [line.slice(line.indexOf("\t") + 1)])
  )

/** Removes snapshots from the remote. */
export const removeRemote = (deps: Deps, repository: Repository, refs: ReadonlyArray<string>) =>
  refs.length === 0 ? Effect.void : Effect.asVoid(pushRefs(deps, repository, refs.map((ref) => `:${ref}`)))

/** Brings a snapshot into this clone from the remote. */
export const fetch = (deps: Deps, repository: Repository, snapshot: WorkspaceSnapshot) => {
  const ref = hiddenRef(snapshot.runId, snapshot.seq)
  return remotely(deps, repository, "fetch", [
    "fetch",
    "-q",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--",
    deps.options.remote,
    `+${ref}:${ref}`
  ])
}

/** Brings a snapshot into this clone from a bundle. The bundle must be the one that the snapshot names. */
export const unbundle = Effect.fnUntraced(function*(
  deps: Deps,
  repository: Repository,
  snapshot: WorkspaceSnapshot,
  bytes: Uint8Array
): Effect.fn.Return<void, WorkspaceError> {
  const { fs, git, path } = deps
  if (snapshot.bundle?.bytes !== bytes.length || snapshot.bundle.sha256 !== sha256(bytes)) {
    return yield* new BundleUnusable({ detail: "it is not the bundle that the snapshot was taken with", missing: [] })
  }
  const ref = hiddenRef(snapshot.runId, snapshot.seq)
  const file = path.join(repository.side, `${keyOf(snapshot.runId)}-${snapshot.seq}.bundle`)
  const written = Effect.andThen(
    fs.makeDirectory(repository.side, { recursive: true }),
    fs.writeFile(file, bytes)
  ).pipe(Effect.mapError((error) => new BundleUnusable({ detail: error.message, missing: [] })))
  const fetched = git(
    ["fetch", "-q", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--", file, `+${ref}:${ref}`],
    { cwd: repository.top, writes: true }
  ).pipe(
    Effect.asVoid,
    Effect.catchTag("GitFailed", ({ stderr }) => {
      const missing = Array.from(stderr.matchAll(/^error: ([0-9a-f]{40,64})\b/gm), ([, commit = ""]) => commit)
      const detail = missing.length > 0 ? "it builds on commits that this clone does not have" : stderr.trim()
      return Effect.fail(new BundleUnusable({ detail, missing }))
    })
  )
  yield* Effect.andThen(written, fetched).pipe(Effect.ensuring(Effect.ignore(fs.remove(file, { force: true }))))
})
