/**
 * @since 0.1.0
 */
export * as RedisStore from "./RedisStore.ts"

/**
 * @since 0.1.0
 */
export * as RedisWarning from "./RedisWarning.ts"
