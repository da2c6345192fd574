/**
 * Tests of applications: Everbeat on a clock of the test, processes that crash,
 * models and agents that follow a script, tokens without secrets.
 *
 * @since 0.1.0
 */
export * as FakeTokens from "./FakeTokens.ts"
export * as ScriptedAgent from "./ScriptedAgent.ts"
export * as ScriptedModel from "./ScriptedModel.ts"
export * as TestEverbeat from "./TestEverbeat.ts"
