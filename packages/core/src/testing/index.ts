/**
 * Conformance kits for stores, and processes that crash.
 *
 * @since 0.1.0
 */
export * as CheckpointStoreTest from "./CheckpointStoreTest.ts"
export * as Conformance from "./Conformance.ts"
export * as Crash from "./Crash.ts"
export * as RunStoreTest from "./RunStoreTest.ts"
