/**
 * @since 0.1.0
 */
export * as EffectAiAdapter from "./EffectAiAdapter.ts"
