/**
 * Durable agent loops of the Vercel AI SDK.
 *
 * @since 0.1.0
 */
export * as AiSdk from "./AiSdk.ts"
