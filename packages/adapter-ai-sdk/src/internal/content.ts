/** What a model answers, as the message that the AI SDK will make of it, and the other way round. */
import type { AssistantModelMessage } from "ai"
import * as Base64 from "effect/encoding/Base64"
import type { AssistantPart, Content, StreamPart } from "./model.ts"

type Metadata = Extract<Content, { readonly type: "text" }>["providerMetadata"]

const withOptions = (metadata: Metadata) => (metadata === undefined ? undefined : { providerOptions: metadata })
const withMetadata = (options: Metadata) => (options === undefined ? undefined : { providerMetadata: options })

/** Fields in the order in which the SDK has them: then its own message is recognised as this one. */
const partOf = (part: Content): AssistantPart | undefined => {
  switch (part.type) {
    case "text":
      // As the SDK: an empty text says nothing, unless its provider does.
      return part.text === "" && part.providerMetadata === undefined
        ? undefined
        : { type: "text", text: part.text, ...withOptions(part.providerMetadata) }
    case "reasoning":
      return { type: "reasoning", text: part.text, ...withOptions(part.providerMetadata) }
    case "custom":
      return { type: "custom", kind: part.kind, ...withOptions(part.providerMetadata) }
    case "file":
    case "reasoning-file":
      return {
        type: part.type,
        data: part.data.type === "url" ? part.data.url : base64Of(part.data.data),
        mediaType: part.mediaType,
        ...withOptions(part.providerMetadata)
      }
    case "tool-call": {
      const input = inputOf(part.input)
      return {
        type: "tool-call",
        toolCallId: part.toolCallId,
        toolName: part.toolName,
        input: input ?? {},
        ...(part.providerExecuted === undefined ? undefined : { providerExecuted: part.providerExecuted }),
        ...withOptions(input === undefined ? broken(part.input, part.providerMetadata) : part.providerMetadata)
      }
    }
    case "tool-result":
      if (part.preliminary === true) return undefined
      return {
        type: "tool-result",
        toolCallId: part.toolCallId,
        toolName: part.toolName,
        output: part.isError === true
          ? { type: "error-json", value: part.result }
          : typeof part.result === "string"
          ? { type: "text", value: part.result }
          : { type: "json", value: part.result },
        ...withOptions(part.providerMetadata)
      }
    case "tool-approval-request":
      return { type: "tool-approval-request", approvalId: part.approvalId, toolCallId: part.toolCallId }
    case "source":
      return undefined
  }
}

const base64Of = (data: string | Uint8Array): string => (typeof data === "string" ? data : Base64.encode(data))

/** `undefined` for what is no JSON. */
const inputOf = (text: string): unknown => {
  try {
    const input: unknown = text.trim() === "" ? {} : JSON.parse(text)
    return input
  } catch {
    return undefined
  }
}

/**
 * A call whose input is no JSON is not executed: the SDK answers it with an error. So that this is also so when the answer
 * is given again, the text is kept where no provider looks.
 */
const broken = (input: string, metadata: Metadata): Metadata => ({ ...metadata, everbeat: { input } })

const textOf = ({ input, providerOptions }: Extract<AssistantPart, { readonly type: "tool-call" }>): string => {
  const text = providerOptions?.["everbeat"]?.["input"]
  return typeof text === "string" ? text : JSON.stringify(input)
}

/** `undefined` for an answer that says nothing. */
export const messageOf = (content: ReadonlyArray<Content>): AssistantModelMessage | undefined => {
  const parts = content.flatMap((part) => partOf(part) ?? [])
  return parts.length === 0 ? undefined : { role: "assistant", content: parts }
}

/** What a model would have to answer for this message. */
export const contentOf = ({ content }: AssistantModelMessage): Array<Content> =>
  typeof content === "string" ? [{ type: "text", text: content }] : content.flatMap((part) => answeredBy(part) ?? [])

const answeredBy = (part: AssistantPart): Content | undefined => {
  switch (part.type) {
    case "text":
    case "reasoning":
      return { type: part.type, text: part.text, ...withMetadata(part.providerOptions) }
    case "custom":
      return { type: "custom", kind: part.kind, ...withMetadata(part.providerOptions) }
    case "file":
    case "reasoning-file":
      return typeof part.data === "string" || part.data instanceof URL
        ? {
          type: part.type,
          mediaType: part.mediaType,
          data: part.data instanceof URL ? { type: "url", url: part.data } : { type: "data", data: part.data },
          ...withMetadata(part.providerOptions)
        }
        : undefined
    case "tool-call":
      return {
        type: "tool-call",
        toolCallId: part.toolCallId,
        toolName: part.toolName,
        input: textOf(part),
        ...(part.providerExecuted === undefined ? undefined : { providerExecuted: part.providerExecuted }),
        ...withMetadata(part.providerOptions)
      }
    case "tool-result":
      return {
        type: "tool-result",
        toolCallId: part.toolCallId,
        toolName: part.toolName,
        result: ("value" in part.output ? jsonOf(part.output.value) : part.output.reason) ?? "",
        isError: part.output.type.startsWith("error"),
        ...withMetadata(part.providerOptions)
      }
    case "tool-approval-request":
      return undefined
  }
}

/** As it was sent once: a result of a provider is JSON. */
const jsonOf = (value: unknown) => JSON.parse(JSON.stringify(value))

/** The same as a stream. */
export const streamOf = (content: ReadonlyArray<Content>): ReadonlyArray<StreamPart> =>
  content.flatMap((part, index): ReadonlyArray<StreamPart> => {
    if (part.type !== "text" && part.type !== "reasoning") return [part]
    const id = String(index)
    const metadata = withMetadata(part.providerMetadata)
    return [
      { type: `${part.type}-start`, id, ...metadata },
      { type: `${part.type}-delta`, id, delta: part.text },
      { type: `${part.type}-end`, id }
    ]
  })
