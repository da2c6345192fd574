/** What the workers do: passes of five steps, and agents that take turns, change things and start other agents. */
import { Agent, Heartbeat, Step } from "@everbeat/core"
import { Effect, Schedule, Schema } from "effect"
import type { Journal } from "./journal.ts"
import type { Random } from "./random.ts"
import { digest } from "./witness.ts"

/** High: what ends a run here is its work, or two attempts in a row without progress. */
const maxAttempts = 100_000

const Payload = Schema.Struct({
  turns: Schema.Int,
  /** Turns whose tool changes something. */
  mutating: Schema.Array(Schema.Int),
  /** The turn in which the first attempt runs into its limit. */
  stallsAt: Schema.Int,
  /** The turn that waits for another agent. */
  childAt: Schema.Int
})

export type Payload = typeof Payload.Type

/** Names of steps, and whether their outcome is durable before the next one starts. */
const steps = [
  ["fetch", "sync"],
  ["compare", "coalesce"],
  ["reconcile", "sync"],
  ["notify", "coalesce"],
  ["publish", "sync"]
] as const

export const makeHeartbeat = (journal: Journal, random: Random) =>
  Heartbeat.make(
    "chaos-heartbeat",
    steps.map(([name, durability]) =>
      Step.make(
        name,
        { durability, result: Schema.String },
        () =>
          Effect.flatMap(Step.Current, ({ fence, runId, step }) => {
            journal.write({ e: "step", run: runId, fence, step, sync: durability === "sync" })
            return Effect.as(Effect.sleep(random.between(2, 250)), `${step} by ${fence}`)
          })
      )
    ),
    { maxAttempts }
  )

const attemptMillis = 6000

const define = <const Name extends string, R>(
  name: Name,
  journal: Journal,
  random: Random,
  atTurn: (
    context: Parameters<Agent.Options<string, number, unknown, R>["run"]>[0],
    turn: number,
    payload: Payload
  ) => Effect.Effect<
    unknown,
    unknown,
    R
  >
) =>
  Agent.make(name, {
    message: Schema.String,
    result: Schema.Int,
    timeout: attemptMillis,
    maxAttempts,
    backoff: () => 50,
    resumeOn: () => true,
    run: (context) =>
      Effect.gen(function*() {
        const { attempt, checkpoint, meta, resume, runId } = context
        const fence = context.fence ?? 0
        const payload = yield* Schema.decodeUnknownEffect(Payload)(meta.payload)
        let messages = resume?.messages ?? []
        let iteration = resume?.iteration ?? 0
        journal.write({ e: "attempt", run: runId, fence, attempt, iteration, messages: messages.map(digest) })

        const flushed = Effect.gen(function*() {
          const entry = { run: runId, fence, iteration, messages: messages.map(digest) }
          yield* checkpoint.flush
          journal.write({ e: "flushed", ...entry })
        })

        messages = [...messages, `attempt ${attempt} with fence ${fence}`]
        yield* checkpoint.save({ messages })

        while (iteration < payload.turns) {
          const turn = iteration + 1
          yield* Effect.sleep(random.between(10, 250))
          if (payload.stallsAt === turn && attempt === 1) yield* Effect.never
          if (payload.mutating.includes(turn)) {
            const call = `call-${turn}`
            yield* checkpoint.tool(
              { id: call, name: "change", result: Schema.String },
              Effect.as(Effect.sync(() => journal.write({ e: "did", run: runId, fence, call })), "changed")
            )
            yield* checkpoint.flush
            journal.write({ e: "kept", run: runId, fence, call })
          }
          yield* atTurn(context, turn, payload)
          messages = [...messages, `turn ${turn} of attempt ${attempt}: ${"x".repeat(random.integer(600))}`]
          iteration = turn
          yield* checkpoint.save({ messages, iteration })
          if (random.next() < 0.5) yield* flushed
        }
        yield* flushed
        return messages.length
      })
  })

export const makeAgents = (journal: Journal, random: Random) => {
  const helper = define("chaos-helper", journal, random, () => Effect.void)
  const coder = define("chaos-coder", journal, random, (context, turn, { childAt }) =>
    turn === childAt
      ? context.start(helper, { key: "help", payload: { turns: 2, mutating: [1], stallsAt: 0, childAt: 0 } }).pipe(
        // The process that ran it for an attempt before may still hold it.
        Effect.retry(Schedule.spaced("200 millis")),
        Effect.flatMap((child) => child.result)
      )
      : Effect.void)
  return { coder, helper }
}

/** What an agent is asked to do. */
export const makePayload = (random: Random): Payload => {
  const turns = 2 + random.integer(7)
  return {
    turns,
    mutating: Array.from({ length: turns }, (_, index) => index + 1).filter(() => random.next() < 0.4),
    stallsAt: random.next() < 0.08 ? 1 + random.integer(turns) : 0,
    childAt: random.next() < 0.2 ? 1 + random.integer(turns) : 0
  }
}
