/** Types of language models, as far as the AI SDK shows them. */
import type { AssistantModelMessage, LanguageModelMiddleware } from "ai"

type Generate = Parameters<NonNullable<LanguageModelMiddleware["wrapGenerate"]>>[0]["doGenerate"]
type Stream = Parameters<NonNullable<LanguageModelMiddleware["wrapStream"]>>[0]["doStream"]

export type Generated = Awaited<ReturnType<Generate>>
export type Streamed = Awaited<ReturnType<Stream>>
export type Content = Generated["content"][number]
export type FinishReason = Generated["finishReason"]["unified"]
export type StreamPart = Streamed["stream"] extends ReadableStream<infer Part> ? Part : never
export type AssistantPart = Exclude<AssistantModelMessage["content"], string>[number]
