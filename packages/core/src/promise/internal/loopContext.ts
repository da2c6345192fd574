/** The context of an Effect agent, as one of Promises. */
import type { AgentContext as EffectAgentContext, Resumption as EffectResumption } from "@everbeat/core/AgentContext"
import type { ModelMessage } from "ai"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { Context } from "../AiSdk.ts"

const resumptionOf = (resume: EffectResumption<ModelMessage>): NonNullable<Context["resume"]> => ({
  ...resume,
  endedAt: resume.endedAt === undefined ? undefined : DateTime.toDateUtc(resume.endedAt)
})

export const promised = <A>(
  context: EffectAgentContext<ModelMessage>,
  body: (context: Context) => PromiseLike<A>
): Effect.Effect<A, unknown> =>
  Effect.flatMap(Effect.context<never>(), (services) =>
    Effect.callback<A, unknown>((resume, signal) => {
      const { attempt, checkpoint, fence, meta, runId } = context
      const running = new Set<Promise<unknown>>()
      const run = <B, E>(effect: Effect.Effect<B, E>): Promise<B> => Effect.runPromiseWith(services)(effect, { signal })
      /** It has the signal, and ends by itself; what it throws after an interruption is the interruption. */
      const called = <B>(f: (signal: AbortSignal) => B | PromiseLike<B>): Effect.Effect<B, unknown> =>
        Effect.callback<B, unknown>((resume) => {
          if (signal.aborted) return resume(Effect.interrupt)
          const ended = (async () => f(signal))()
            .then(
              (value) => resume(Effect.succeed(value)),
              (error: unknown) => resume(signal.aborted ? Effect.interrupt : Effect.fail(error))
            )
            .finally(() => running.delete(ended))
          running.add(ended)
        })
      /** A call that ends well after the interruption is recorded so. Before it starts nobody waits for it. */
      const tool: Context["checkpoint"]["tool"] = (call, execute) => {
        let isStarted = false
        const begun = called((signal) => {
          isStarted = true
          return execute(signal)
        })
        return new Promise((resolve, reject) => {
          const stop = () => isStarted || reject(signal.reason)
          signal.addEventListener("abort", stop, { once: true })
          const over = () => signal.removeEventListener("abort", stop)
          run(Effect.uninterruptible(checkpoint.tool(call, begun))).then(resolve, reject).finally(over)
        })
      }
      const own: Context = {
        runId,
        meta,
        attempt,
        fence,
        signal,
        resume: context.resume === undefined ? undefined : resumptionOf(context.resume),
        checkpoint: {
          save: (update) => run(checkpoint.save(update)),
          note: (text) => run(checkpoint.note(text)),
          flush: () => run(checkpoint.flush),
          tool,
          phase: (name, phase) => run(checkpoint.phase(name, called(phase)))
        },
        warn: (code, message, options) => void run(context.warn({ _tag: code, message, ...options }))
      }
      const ended = (async () => body(own))().then(
        (value) => resume(Effect.succeed(value)),
        (error: unknown) => resume(Effect.fail(error))
      )
      // An interrupted attempt has ended when everything that it began has.
      return Effect.promise(async () => {
        await ended
        await Promise.allSettled(running)
      })
    }))
