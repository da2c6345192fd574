/** The context of an Effect agent, as one of Promises. */
import type { AgentContext as EffectAgentContext, Resumption as EffectResumption } from "@everbeat/core/AgentContext"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { Context, Message } from "../OpenAIAgents.ts"

const resumptionOf = ({ workspace: _, ...resume }: EffectResumption<Message>): Context["resume"] => ({
  ...resume,
  endedAt: resume.endedAt === undefined ? undefined : DateTime.toDateUtc(resume.endedAt)
})

/** Fails with what a function throws or rejects with; interrupted, it waits for the end of what it began. */
const attempt = <A>(start: (signal: AbortSignal) => A | PromiseLike<A>): Effect.Effect<A, unknown> =>
  Effect.callback<A, unknown>((resume, signal) => {
    const ended = (async () => start(signal))().then(
      (value) => resume(Effect.succeed(value)),
      (error: unknown) => resume(Effect.fail(error))
    )
    return Effect.promise(() => ended)
  })

export const promised = <A>(
  context: EffectAgentContext<Message>,
  body: (context: Context) => PromiseLike<A>
): Effect.Effect<A, unknown> =>
  Effect.gen(function*() {
    const { attempt: number, checkpoint, fence, meta, resume, runId } = context
    const services = yield* Effect.context<never>()
    return yield* attempt((signal) => {
      const run = <B, E>(effect: Effect.Effect<B, E>): Promise<B> => Effect.runPromiseWith(services)(effect, { signal })
      return body({
        runId,
        meta,
        attempt: number,
        fence,
        signal,
        resume: resume === undefined ? undefined : resumptionOf(resume),
        checkpoint: {
          save: (update) => run(checkpoint.save(update)),
          note: (text) => run(checkpoint.note(text)),
          flush: () => run(checkpoint.flush),
          tool: (call, execute) => run(checkpoint.tool(call, attempt(execute))),
          phase: (name, phase) => run(checkpoint.phase(name, attempt(phase)))
        },
        warn: (code, message, options) => void run(context.warn({ _tag: code, message, ...options }))
      })
    })
  })
