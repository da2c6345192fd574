/** The agent: asks the model what to do, does it, and saves how far it came, until the model has nothing more to do. */
import { Agent, type AgentContext, Transcript } from "@everbeat/core"
import { type Duration, Effect } from "effect"
import { Journal } from "./Journal.ts"
import { Model } from "./Model.ts"
import { answer, ToolFailed, Tools, Work } from "./Tools.ts"

type Context = AgentContext.AgentContext<Transcript.Message>

export interface Settings {
  readonly name?: string | undefined
  /** Limit of one attempt. */
  readonly timeout?: Duration.Input | undefined
}

/** Runs an attempt: the first one, or one that goes on where another ended. */
export const run = Effect.fn("Coder.run")(function*(ctx: Context) {
  const journal = yield* Journal
  const model = yield* Model
  const { attempt, checkpoint, resume } = ctx
  // After a resume the files may be in another folder than before.
  const cwd = ctx.workspace?.cwd ?? "."
  const folder = (yield* Tools).in(cwd)

  let messages = opening(ctx)
  let iteration = resume?.iteration ?? 0
  let notes = resume?.notes ?? ""

  yield* journal.write({
    event: "attempt",
    attempt,
    runId: ctx.runId,
    reason: resume?.reason ?? "started",
    iteration,
    input: messages.map(({ content }) => content).join("\n\n"),
    cwd,
    inPlace: resume?.workspace?.inPlace ?? true
  })

  /** One iteration: a turn of the model, with everything that it calls for. */
  const iterate = Effect.fnUntraced(function*(turn: Transcript.Message, calls: ReadonlyArray<Transcript.Call>) {
    iteration += 1
    const title = turn.content
    yield* journal.write({ event: "executing", attempt, iteration, title })

    // The turn is saved with the first call that changes something, before that call starts.
    messages = [...messages, turn]
    yield* checkpoint.save({ messages })
    for (const call of calls) messages = [...messages, yield* answer(ctx, folder, call)]

    // First the files, then what is said about them: a conversation must not be ahead of its files.
    yield* keepFiles(ctx)
    notes = `${notes}${notes === "" ? "" : "\n"}done: ${title}`
    yield* checkpoint.save({ messages, iteration, notes })
    yield* checkpoint.flush
    yield* journal.write({ event: "saved", attempt, iteration, title })
  })

  yield* checkpoint.phase(
    "implement",
    Effect.gen(function*() {
      while (true) {
        const turn = yield* model.next(messages)
        if (turn.calls === undefined || turn.calls.length === 0) return
        yield* iterate(turn, turn.calls)
      }
    })
  )

  // The id is the same in every attempt: a commit that was made is remembered, not made again.
  yield* checkpoint.save({ phase: "deliver" })
  return yield* checkpoint.tool(
    { id: "deliver", name: "commit", result: Work },
    folder.commit("Convert units")
  )
})

/** Defines the agent. */
export const make = ({ name = "coder", timeout = "2 minutes" }: Settings = {}, loop = run) =>
  Agent.make(name, {
    message: Transcript.Message,
    transcript: Transcript.chat,
    result: Work,
    run: loop,
    timeout,
    maxAttempts: 5,
    backoff: () => "200 millis",
    // A tool that fails in the model's turn is an answer to the model. One that fails in ours ends the run.
    resumeOn: (error) => !(error instanceof ToolFailed)
  })

// internal

/** What the model is told first. */
const opening = ({ meta, resume }: Context): ReadonlyArray<Transcript.Message> => {
  const user = (content = ""): ReadonlyArray<Transcript.Message> => content === "" ? [] : [{ role: "user", content }]
  if (resume === undefined) return user(meta.prompt)
  const { messages, original, prompt } = resume.continuation
  return [...messages, ...user(original), ...user(prompt)]
}

/** Files that cannot be kept now are no reason to stop: the run ends with a warning. */
const keepFiles = ({ warn, workspace }: Context) =>
  workspace === undefined ? Effect.void : Effect.catch(workspace.snapshot, warn)
