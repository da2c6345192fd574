/**
 * Options that cannot be used.
 *
 * @since 0.1.0
 */

/**
 * One wrong option.
 *
 * @category models
 * @since 0.1.0
 */
export interface OptionProblem {
  /** Where it is: `heartbeats.triage`, `retry.times`. */
  readonly option: string
  /** What was given, shortened. */
  readonly given: string
  /** What is expected. */
  readonly expected: string
}

/**
 * Error thrown at once for options that cannot be used: it lists every wrong
 * one. Correct them; it is a mistake in the program.
 *
 * **Example** (Reading what is wrong)
 *
 * ```ts
 * import { heartbeat, InvalidOptions } from "@everbeat/core/promise"
 *
 * const make = () => heartbeat("triage", { concurrency: 0, deadline: "soon" as never })
 * let problems: ReadonlyArray<string> = []
 * try {
 *   make()
 * } catch (error) {
 *   if (error instanceof InvalidOptions) problems = error.problems.map(({ option }) => option)
 * }
 * problems // => ["concurrency", "deadline"]
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidOptions extends TypeError {
  readonly _tag = "InvalidOptions"
  readonly code = "invalid-options"
  readonly retryable = false
  readonly hint: string
  readonly problems: ReadonlyArray<OptionProblem>

  constructor(where: string, problems: ReadonlyArray<OptionProblem>) {
    const lines = problems.map(({ expected, given, option }) => `- ${option} is ${given}: expected ${expected}`)
    super(
      `${where}: ${problems.length === 1 ? "an option is" : `${problems.length} options are`} wrong\n${
        lines.join("\n")
      }`
    )
    this.name = "InvalidOptions"
    this.problems = problems
    this.hint = "Correct the options that are listed."
  }
}
