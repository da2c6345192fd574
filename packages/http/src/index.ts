/**
 * @since 0.1.0
 */
export * as AgentAuth from "./AgentAuth.ts"
export * as AgentClient from "./AgentClient.ts"
export * as AgentError from "./AgentError.ts"
export * as AgentPrincipal from "./AgentPrincipal.ts"
export * as AgentToken from "./AgentToken.ts"
export * as EverbeatApi from "./EverbeatApi.ts"
export * as EverbeatClient from "./EverbeatClient.ts"
export * as FastifyAdapter from "./FastifyAdapter.ts"
export * as HeartbeatHandler from "./HeartbeatHandler.ts"
export * as HeartbeatReport from "./HeartbeatReport.ts"
export * as HonoAdapter from "./HonoAdapter.ts"
export * as NextAdapter from "./NextAdapter.ts"
export * as NodeAdapter from "./NodeAdapter.ts"
export * as Problem from "./Problem.ts"
export * as RunProgress from "./RunProgress.ts"
