/**
 * Everbeat for applications that do not use Effect: functions that return
 * Promises, errors that are classes.
 *
 * @since 0.1.0
 */
export * from "./Agent.ts"
export * from "./AgentContext.ts"
export * from "./AgentHandle.ts"
export * from "./Duration.ts"
export * from "./Everbeat.ts"
export * from "./EverbeatError.ts"
export * from "./Extension.ts"
export * from "./Heartbeat.ts"
export * from "./InvalidOptions.ts"
export * from "./Json.ts"
export * from "./Once.ts"
export * from "./Options.ts"
export * from "./Report.ts"
export * from "./Run.ts"
export * from "./Step.ts"
export * from "./Store.ts"
