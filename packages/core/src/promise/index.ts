/**
 * Everbeat for applications that do not use Effect: functions that return
 * Promises, errors that are classes.
 *
 * @since 0.1.0
 */
export * from "./AgentContext.ts"
