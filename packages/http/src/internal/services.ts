/** What a host may provide beside the engine and its runs, and what is answered when it does not. */
import { AgentSupervisor } from "@everbeat/core/AgentSupervisor"
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import { Recovery } from "@everbeat/core/Recovery"
import { Workspace } from "@everbeat/core/Workspace"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Problem from "../Problem.ts"

export const offered = (context: Context.Context<never>) => ({
  checkpoints: Option.getOrUndefined(Context.getOption(context, CheckpointStore)),
  recovery: Option.getOrUndefined(Context.getOption(context, Recovery)),
  supervisor: Option.getOrUndefined(Context.getOption(context, AgentSupervisor)),
  /** Where core looks for the files of agents. */
  workspaces: Context.pick(Workspace)(context)
})

export const need = <A>(service: A | undefined, name: string): Effect.Effect<A, Problem.NotOffered> =>
  service === undefined
    ? Effect.fail(
      new Problem.NotOffered({
        detail: `The operator of this host must provide ${name} in the layer of its handler, merged: `
          + "Layer.provideMerge, not Layer.provide."
      })
    )
    : Effect.succeed(service)
