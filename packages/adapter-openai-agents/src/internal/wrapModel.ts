/** The model of an agent: each question is saved before it is asked, each answer before anybody acts on it. */
import { type AgentInputItem, type Model, type ModelRequest, type StreamEvent, Usage } from "@openai/agents"
import type { State } from "./state.ts"

type Output = Extract<StreamEvent, { readonly type: "response_done" }>["response"]["output"]

const itemsOf = ({ input }: ModelRequest): ReadonlyArray<AgentInputItem> =>
  typeof input === "string" ? [{ type: "message", role: "user", content: input }] : input

/** What the model said in an earlier attempt. */
const outputOf = (state: State): Output | undefined =>
  // A last word was the output of the model: nothing else of a conversation is on its side.
  state.takeReplay() as Output | undefined

export const wrapModel = (state: State, resolve: () => Promise<Model>): Model => ({
  getResponse: async (request) => {
    await state.asked(itemsOf(request))
    const output = outputOf(state)
    if (output !== undefined) return { usage: new Usage(), output }
    const model = await resolve()
    const response = await model.getResponse(request)
    await state.answered(response.output)
    return response
  },
  getStreamedResponse: (request) => stream(state, resolve, request),
  getRetryAdvice: async (request) => {
    const model = await resolve()
    return model.getRetryAdvice?.(request)
  }
})

async function* stream(
  state: State,
  resolve: () => Promise<Model>,
  request: ModelRequest
): AsyncGenerator<StreamEvent> {
  await state.asked(itemsOf(request))
  const output = outputOf(state)
  if (output !== undefined) {
    yield { type: "response_started" }
    const usage = { requests: 0, inputTokens: 0, outputTokens: 0, totalTokens: 0 }
    yield { type: "response_done", response: { id: "everbeat", usage, output } }
    return
  }
  const model = await resolve()
  for await (const event of model.getStreamedResponse(request)) {
    // Tools are executed when the end was seen: by then the calls are saved.
    if (event.type === "response_done") await state.answered(event.response.output)
    yield event
  }
}
