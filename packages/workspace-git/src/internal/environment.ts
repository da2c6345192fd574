/**
 * What of the host's environment and of the user's configuration must not reach
 * the commands: variables that redirect git to another repository, index or
 * configuration, programs that git would run, and daemons it would start.
 */
const redirecting = [
  "DIR",
  "WORK_TREE",
  "INDEX_FILE",
  "INDEX_VERSION",
  "OBJECT_DIRECTORY",
  "ALTERNATE_OBJECT_DIRECTORIES",
  "COMMON_DIR",
  "CEILING_DIRECTORIES",
  "DISCOVERY_ACROSS_FILESYSTEM",
  "NAMESPACE",
  "PREFIX",
  "INTERNAL_SUPER_PREFIX",
  "IMPLICIT_WORK_TREE",
  "GRAFT_FILE",
  "SHALLOW_FILE",
  "REPLACE_REF_BASE",
  "NO_REPLACE_OBJECTS",
  "CONFIG",
  "CONFIG_PARAMETERS",
  "CONFIG_COUNT",
  "CONFIG_GLOBAL",
  "CONFIG_SYSTEM",
  "CONFIG_NOSYSTEM",
  "ATTR_SOURCE",
  "ATTR_NOSYSTEM",
  "LITERAL_PATHSPECS",
  "GLOB_PATHSPECS",
  "NOGLOB_PATHSPECS",
  "ICASE_PATHSPECS",
  "QUARANTINE_PATH",
  "EXTERNAL_DIFF",
  "DIFF_OPTS",
  "DEFAULT_HASH",
  "DEFAULT_REF_FORMAT",
  "OPTIONAL_LOCKS",
  "TRACE",
  "TRACE_PACKET",
  "TRACE_PERFORMANCE",
  "TRACE_SETUP",
  "TRACE_CURL",
  "TRACE_REFS",
  "TRACE_SHALLOW",
  "TRACE2",
  "TRACE2_EVENT",
  "TRACE2_PERF",
  "TRACE2_PARENT_SID",
  "AUTHOR_DATE",
  "COMMITTER_DATE",
  "PUSH_CERT",
  "PROTOCOL"
]

const name = "everbeat"
const email = "checkpoint@everbeat.invalid"

/** Merged over the host's environment; `undefined` removes. */
export const environment: Record<string, string | undefined> = {
  ...Object.fromEntries(redirecting.map((name) => [`GIT_${name}`, undefined])),
  GIT_AUTHOR_NAME: name,
  GIT_AUTHOR_EMAIL: email,
  GIT_COMMITTER_NAME: name,
  GIT_COMMITTER_EMAIL: email,
  GIT_TERMINAL_PROMPT: "0",
  LC_ALL: "C",
  LANGUAGE: "C"
}

const asFlags = (settings: ReadonlyArray<string>): ReadonlyArray<string> =>
  settings.flatMap((setting) => ["-c", setting])

/** Settings of every command. */
export const always = asFlags([
  "core.hooksPath=/dev/null",
  "core.fsmonitor=false",
  "core.splitIndex=false",
  "core.safecrlf=false",
  "core.quotePath=false",
  "core.logAllRefUpdates=false",
  "i18n.commitEncoding=UTF-8",
  "commit.gpgSign=false",
  "push.gpgSign=false",
  "gc.auto=0",
  "maintenance.auto=false",
  "submodule.recurse=false",
  "push.recurseSubmodules=no",
  "advice.detachedHead=false",
  "status.renames=false",
  "status.relativePaths=false",
  "status.showUntrackedFiles=all"
])

/** Settings of commands that write what must survive a power loss. */
export const synced = asFlags(["core.fsync=loose-object,reference", "core.fsyncMethod=fsync"])
