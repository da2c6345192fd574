/**
 * @since 0.1.0
 */
export * as AgentName from "./AgentName.ts"
export * as AgentRun from "./AgentRun.ts"
export * as CheckpointStore from "./CheckpointStore.ts"
export * as Diagnostic from "./Diagnostic.ts"
export * as Fault from "./Fault.ts"
export * as Heartbeat from "./Heartbeat.ts"
export * as HeartbeatEngine from "./HeartbeatEngine.ts"
export * as Lease from "./Lease.ts"
export * as PassError from "./PassError.ts"
export * as Report from "./Report.ts"
export * as RunCheckpoint from "./RunCheckpoint.ts"
export * as RunId from "./RunId.ts"
export * as RunStore from "./RunStore.ts"
export * as Step from "./Step.ts"
export * as StoreError from "./StoreError.ts"
export * as Telemetry from "./Telemetry.ts"
