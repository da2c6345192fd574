/**
 * Identity of one run, for life: a resumed run keeps its id.
 *
 * A run id is a UUIDv7 (RFC 9562), so ids sort by the time at which the run
 * began. Its last byte is a hash of the agent's name: a partitioned store can
 * find the partition of a run, of its agent's single-flight guard and of the
 * agent's due list from the id alone or from the name alone.
 *
 * @since 0.1.0
 */
import * as Brand from "effect/Brand"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as Schema from "effect/Schema"
import type { AgentName } from "./AgentName.ts"
import { fnv1a } from "./internal/fnv.ts"

/**
 * Schema of a run id: a lowercase UUIDv7.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RunId = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u, {
    description: "a lowercase UUIDv7"
  })
).pipe(Schema.brand("@everbeat/core/RunId"))

/**
 * A valid run id.
 *
 * @category models
 * @since 0.1.0
 */
export type RunId = typeof RunId.Type

/**
 * Creates a fresh id for a run of the agent.
 *
 * **Details**
 *
 * Ids made in one process sort in the order in which they were made, also when
 * the wall clock jumps backwards.
 *
 * **Example** (Making an id)
 *
 * ```ts
 * import { AgentName, RunId } from "@everbeat/core"
 *
 * const triage = AgentName.make("triage")
 * RunId.bucketOf(RunId.make(triage)) === RunId.bucketOfAgent(triage) // => true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (agentName: AgentName): RunId => makeInBucket(bucketOfAgent(agentName))

/**
 * Creates a fresh id in a bucket computed before, for callers that make many.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeInBucket = (bucket: number): RunId =>
  unchecked(uuidV7Unsafe().slice(0, 34) + (hex[bucket & 0xff] ?? "00"))

/**
 * Returns the bucket of an agent, an integer from 0 to 255.
 *
 * @category getters
 * @since 0.1.0
 */
export const bucketOfAgent = (agentName: AgentName): number => fnv1a(agentName) & 0xff

/**
 * Returns the bucket of a run, which is the bucket of its agent.
 *
 * @category getters
 * @since 0.1.0
 */
export const bucketOf = (runId: RunId): number => Number.parseInt(runId.slice(34), 16)

/**
 * Returns `true` when the value is a run id.
 *
 * @category guards
 * @since 0.1.0
 */
export const isRunId: (u: unknown) => u is RunId = Schema.is(RunId)

// internal

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

// `uuidV7Unsafe` already has the form that the brand demands; checking it again would cost more than making it.
const unchecked = Brand.nominal<RunId>()
