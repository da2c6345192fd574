/**
 * @since 0.1.0
 */
export * as OpenAIAgents from "./OpenAIAgents.ts"
