/** The model of a loop: each of its answers is saved before anybody acts on it. */
import { gateway, type LanguageModel, wrapLanguageModel } from "ai"
import { contentOf, streamOf } from "./content.ts"
import type { Generated, StreamPart } from "./model.ts"
import type { Replay } from "./start.ts"
import type { State } from "./state.ts"
import { Collected } from "./streamed.ts"

/** A model by its name, as the SDK finds it. */
const resolve = (model: LanguageModel): Exclude<LanguageModel, string> =>
  typeof model === "string" ? (globalThis.AI_SDK_DEFAULT_PROVIDER ?? gateway).languageModel(model) : model

/** Nothing was asked, so nothing was used. */
const free: Pick<Generated, "usage" | "warnings"> = {
  usage: {
    inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
    outputTokens: { total: undefined, text: undefined, reasoning: undefined }
  },
  warnings: []
}

const finishOf = ({ finishReason }: Replay) => ({ unified: finishReason, raw: "everbeat: answered before" })

const answerOf = (replay: Replay): ReadableStream<StreamPart> =>
  new ReadableStream<StreamPart>({
    start: (controller) => {
      controller.enqueue({ type: "stream-start", warnings: [] })
      for (const part of streamOf(contentOf(replay.message))) controller.enqueue(part)
      controller.enqueue({ type: "finish", usage: free.usage, finishReason: finishOf(replay) })
      controller.close()
    }
  })

export const wrapModel = (state: State, model: LanguageModel): Exclude<LanguageModel, string> =>
  wrapLanguageModel({
    model: resolve(model),
    middleware: {
      specificationVersion: "v4",
      wrapGenerate: async ({ doGenerate }) => {
        const replay = state.takeReplay()
        if (replay !== undefined) return { ...free, content: contentOf(replay.message), finishReason: finishOf(replay) }
        const answer = await doGenerate()
        await state.answered(answer.content, answer.finishReason.unified)
        return answer
      },
      wrapStream: async ({ doStream }) => {
        const replay = state.takeReplay()
        if (replay !== undefined) return { stream: answerOf(replay) }
        const answer = await doStream()
        const collected = new Collected()
        // The SDK executes tools when it sees the end: by then the calls are saved.
        const saving = new TransformStream<StreamPart, StreamPart>({
          transform: async (part, controller) => {
            collected.add(part)
            if (part.type === "finish") await state.answered(collected.content, part.finishReason.unified)
            controller.enqueue(part)
          }
        })
        return { ...answer, stream: answer.stream.pipeThrough(saving) }
      }
    }
  })
