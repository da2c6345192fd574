import type { AgentName } from "@everbeat/core/AgentName"
import { bucketOf, bucketOfAgent, type RunId } from "@everbeat/core/RunId"
import { StoreError } from "@everbeat/core/StoreError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Cluster, Redis } from "ioredis"
import * as Errors from "./errors.ts"
import { begin } from "./lua/begin.ts"
import { claim, claimMany } from "./lua/claim.ts"
import { remove, settle } from "./lua/end.ts"
import { agents, erase, pruneAge, pruneRank, pruneSpent } from "./lua/prune.ts"
import { load, read, scanDue, scanRuns } from "./lua/read.ts"
import type { Script } from "./lua/shared.ts"
import { release, renew, requestCancel, save } from "./lua/write.ts"
import { TimeLimit } from "./timeLimit.ts"

/** What a script answers. */
export type Reply = string | number | null | ReadonlyArray<Reply>

export interface Settings {
  readonly prefix: string
  readonly partitions: number
  readonly timeout: Duration.Duration
  /** Life of a record in milliseconds, 0 for ever. */
  readonly recordMillis: number
}

/** Runs scripts, each on one partition: one hash slot. */
export interface Partitions {
  readonly settings: Settings
  readonly all: ReadonlyArray<number>
  readonly ofRun: (runId: RunId) => number
  readonly ofAgent: (agentName: AgentName) => number
  /** A name for one call that writes: sent again by the client, the script answers what it did. */
  readonly name: () => string
  /** One script, one round trip. What `parse` throws is corrupt data. */
  readonly call: <A>(
    operation: string,
    script: Script,
    partition: number,
    args: ReadonlyArray<string | number>,
    parse: (reply: Reply) => A
  ) => Effect.Effect<A, StoreError>
  /** The same, for answers that may be failures. */
  readonly ask: <A, E>(
    operation: string,
    script: Script,
    partition: number,
    args: ReadonlyArray<string | number>,
    parse: (reply: Reply) => Effect.Effect<A, E>
  ) => Effect.Effect<A, E | StoreError>
  /** Any other command, under the same limits. */
  readonly command: <A>(
    operation: string,
    send: (client: Redis | Cluster) => Promise<A>
  ) => Effect.Effect<A, StoreError>
}

const scripts: ReadonlyArray<Script> = [
  begin,
  claim,
  claimMany,
  remove,
  settle,
  agents,
  erase,
  pruneAge,
  pruneRank,
  pruneSpent,
  load,
  read,
  scanDue,
  scanRuns,
  release,
  renew,
  requestCancel,
  save
]

const hash = async (lua: string): Promise<string> => {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(lua))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("")
}

const hashes = Effect.promise(async () =>
  new Map(await Promise.all(scripts.map(async (script) => [script, await hash(script.lua)] as const)))
)

const isUnknownScript = (cause: unknown): boolean => cause instanceof Error && cause.message.startsWith("NOSCRIPT")

export const make = (client: Redis | Cluster, settings: Settings): Effect.Effect<Partitions> =>
  Effect.map(hashes, (hashes) => {
    const { partitions, prefix, timeout } = settings
    const all = Array.from({ length: partitions }, (_, index) => index)
    const bases = all.map((index) => `{${prefix}:${String(index).padStart(2, "0")}}`)

    const session = `${crypto.randomUUID()}:`
    let calls = 0

    // Two keys that never exist: while a Cluster moves the slot, keys are here and there, and for a script that names
    // two and finds them not, Redis says so (TRYAGAIN) instead of running it on half of them. Elsewhere one will do.
    const keysOf = (base: string): ReadonlyArray<string> => client.isCluster ? [base, `${base}:absent`] : [base]
    const keysOfAll = bases.map(keysOf)
    const noKeys = keysOf(`{${prefix}:none}`)

    /** Many arguments of a function go over the stack, which has no room for a hundred thousand. */
    const run = (
      command: "eval" | "evalsha",
      what: string,
      partition: number,
      args: ReadonlyArray<string | number>
    ): Promise<unknown> => {
      const keys = keysOfAll[partition] ?? noKeys
      return args.length < 1000
        ? client[command](what, keys.length, ...keys, ...args)
        : client.call(command, [what, keys.length, ...keys, ...args])
    }

    const millis = Duration.toMillis(timeout)
    // The clock of who asks is the same nearly always: tests have others.
    let limit: TimeLimit | undefined
    const limitBy = (clock: Clock.Clock): TimeLimit => {
      if (limit?.clock !== clock) limit = new TimeLimit(clock, millis)
      return limit
    }

    /**
     * One callback: racing two fibers would cost more than the script does. What can wait is done while the command is
     * on its way, or when its answer was handed over.
     */
    const answered = <A, B, E>(
      operation: string,
      send: () => Promise<A>,
      answer: (value: A) => Effect.Effect<B, E>,
      again?: (cause: unknown) => Promise<A> | undefined
    ): Effect.Effect<B, E | StoreError> =>
      Effect.callback<B, E | StoreError>((resume) => {
        const refuse = (cause: unknown): void => resume(Effect.fail(Errors.fromClient(operation, cause)))
        let sent: Promise<A>
        try {
          sent = send()
        } catch (cause) {
          return refuse(cause)
        }
        const clock = Context.get(Fiber.getCurrent()?.context ?? Context.empty(), Clock.Clock)
        const stop = limitBy(clock).start(() => resume(Effect.fail(Errors.timeout(operation, millis))))
        const succeeded = (value: A): void => {
          resume(answer(value))
          stop()
        }
        const failed = (cause: unknown): void => {
          refuse(cause)
          stop()
        }
        sent.then(succeeded, (cause: unknown) => {
          const repeated = again?.(cause)
          if (repeated === undefined) failed(cause)
          else repeated.then(succeeded, failed)
        })
        return Effect.sync(stop)
      })

    const command: Partitions["command"] = (operation, send) => answered(operation, () => send(client), Effect.succeed)

    const ask: Partitions["ask"] = <A, E>(
      operation: string,
      script: Script,
      partition: number,
      args: ReadonlyArray<string | number>,
      parse: (reply: Reply) => Effect.Effect<A, E>
    ) =>
      answered(
        operation,
        () => run("evalsha", hashes.get(script) ?? "", partition, args),
        (reply): Effect.Effect<A, E | StoreError> => {
          try {
            return parse(reply as Reply) // scripts answer texts, numbers, nulls and lists of these
          } catch (cause) {
            return Effect.fail(cause instanceof StoreError ? cause : Errors.corrupt(operation, cause))
          }
        },
        // The server was restarted, or the script never ran there: this time it travels along, and stays.
        (cause) => isUnknownScript(cause) ? run("eval", script.lua, partition, args) : undefined
      )

    return {
      settings,
      all,
      ofRun: (runId) => bucketOf(runId) % partitions,
      ofAgent: (agentName) => bucketOfAgent(agentName) % partitions,
      command,
      name: () => session + calls++,
      ask,
      call: (operation, script, partition, args, parse) =>
        ask(operation, script, partition, args, (reply) => Effect.succeed(parse(reply)))
    }
  })
