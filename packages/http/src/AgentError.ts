/**
 * Errors of `AgentClient`: plain classes, no types of Effect.
 *
 * @since 0.1.0
 */

/**
 * Error that a call rejects with when the host answered with a problem (RFC
 * 9457). Decide by `type`.
 *
 * @category errors
 * @since 0.1.0
 */
export class AgentProblem extends Error {
  override readonly name = "AgentProblem"
  readonly type: string
  readonly status: number
  /** The whole problem, with the fields that its type has. */
  readonly problem: Readonly<Record<string, unknown>>

  constructor(problem: Readonly<Record<string, unknown>>, status: number) {
    const { detail, title, type } = problem
    super([title, detail].filter((text) => typeof text === "string").join(": "))
    this.type = typeof type === "string" ? type : "about:blank"
    this.status = status
    this.problem = problem
  }
}

/**
 * Error that a call rejects with when no answer of the API came: no connection,
 * a connection that broke, or the answer of something in between.
 *
 * @category errors
 * @since 0.1.0
 */
export class AgentUnreachable extends Error {
  override readonly name = "AgentUnreachable"
}
