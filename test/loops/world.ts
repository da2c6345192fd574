/** What the tools of a loop under test change: an independent journal, which outlives every process. */
import { Effect } from "effect"
import { order } from "./script.ts"

/** What a process does to the world, and when. */
export interface Hands {
  /** Runs before a tool does anything: a process that is dead waits here for ever. */
  readonly before?: (name: string) => Effect.Effect<void>
  /** Runs when the change has taken effect, before anybody is told. */
  readonly after?: (name: string) => Effect.Effect<void>
  /** What a change answers. */
  readonly answer?: (name: string) => unknown
}

export class World {
  /** Every change, in the order in which they took effect. */
  readonly applied: Array<string>
  /** The results in the conversation, each time that the model was asked. */
  readonly told: Array<ReadonlyArray<string>>
  private readonly hands: Hands

  constructor(hands: Hands = {}, before?: World) {
    this.hands = hands
    this.applied = before?.applied ?? []
    this.told = before?.told ?? []
  }

  /** The same world in the hands of another process. */
  readonly for = (hands: Hands): World => new World(hands, this)

  /** What a tool does. */
  readonly act = (name: string): Effect.Effect<unknown> =>
    Effect.gen({ self: this }, function*() {
      const { after, answer, before } = this.hands
      yield* before?.(name) ?? Effect.void
      if (name === "look") return `there is: ${this.applied.join(", ")}`
      this.applied.push(name)
      yield* after?.(name) ?? Effect.void
      return answer === undefined ? `${name} applied` : answer(name)
    })

  /** Each change, sorted: every one of them once. */
  get changes(): ReadonlyArray<string> {
    return this.applied.toSorted()
  }

  static readonly once: ReadonlyArray<string> = [...order].toSorted()
}
