/** The context of an Effect agent, as one of Promises. */
import * as Effect from "effect/Effect"
import type * as CoreContext from "../../AgentContext.ts"
import type { ToolCall } from "../AgentContext.ts"
import type { LoopContext } from "../LoopContext.ts"
import { resultCodec } from "./codec.ts"
import { dateOf } from "./records.ts"

const resumptionOf = <M>(
  { workspace: _, ...resume }: CoreContext.Resumption<M>
): NonNullable<LoopContext<M>["resume"]> => ({
  ...resume,
  endedAt: resume.endedAt === undefined ? undefined : dateOf(resume.endedAt)
})

export const runLoop = <M, A>(
  context: CoreContext.AgentContext<M>,
  body: (context: LoopContext<M>) => PromiseLike<A>
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
      const tool: LoopContext<M>["checkpoint"]["tool"] = <B>(
        { remember = false, ...call }: ToolCall,
        execute: (signal: AbortSignal) => B | PromiseLike<B>
      ) => {
        let isStarted = false
        const begun = called((signal) => {
          isStarted = true
          return execute(signal)
        })
        const recorded = remember
          ? checkpoint.tool({ ...call, result: resultCodec<B>(undefined) }, begun)
          : checkpoint.tool(call, begun)
        return new Promise<B>((resolve, reject) => {
          const stop = () => isStarted || reject(signal.reason)
          signal.addEventListener("abort", stop, { once: true })
          const over = () => signal.removeEventListener("abort", stop)
          run(Effect.uninterruptible(recorded)).then(resolve, reject).finally(over)
        })
      }
      const own: LoopContext<M> = {
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
