/** A run that had ended before it was asked for. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { AgentHandle } from "../../AgentHandle.ts"
import type { AgentRun } from "../../AgentRun.ts"
import { RecordedFailure, ResultRefused } from "../../Fault.ts"
import { PassCancelled } from "../../PassError.ts"
import type { Definition } from "./definition.ts"

export const replayed = <M, A, E, R>(
  { result }: Definition<M, A, E, R>,
  run: AgentRun
): AgentHandle<A, E> => ({
  runId: run.runId,
  origin: "replayed",
  record: Effect.succeed(run),
  interrupt: Effect.void,
  result: Effect.suspend((): AgentHandle<A, E>["result"] => {
    const [diagnostic] = run.errors
    if (run.status === "cancelled") return Effect.fail(new PassCancelled({ runId: run.runId }))
    if (diagnostic !== undefined) return Effect.fail(new RecordedFailure({ diagnostic }))
    // Without a schema an agent answers nothing: its type says `void`.
    if (result === undefined) return Effect.void as unknown as Effect.Effect<A>
    return Effect.matchEffect(Schema.decodeUnknownEffect(result)(run.result), {
      onSuccess: Effect.succeed,
      onFailure: (error) => {
        const { message } = new ResultRefused({ issue: error.message })
        const at = run.finishedAt
        return Effect.fail(
          new RecordedFailure({ diagnostic: { severity: "error", code: "ResultRefused", message, at } })
        )
      }
    })
  })
})
