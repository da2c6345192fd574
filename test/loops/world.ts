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

/** Where changes are written down as they take effect. */
export interface Journal {
  readonly add: (name: string) => void
  readonly all: () => ReadonlyArray<string>
}

const inMemory = (): Journal => {
  const changes: Array<string> = []
  return { add: (name) => void changes.push(name), all: () => changes }
}

export class World {
  readonly journal: Journal
  /** The results in the conversation, each time that the model was asked. */
  readonly told: Array<ReadonlyArray<string>>
  private readonly hands: Hands

  constructor(hands: Hands = {}, journal = inMemory(), told: Array<ReadonlyArray<string>> = []) {
    this.hands = hands
    this.journal = journal
    this.told = told
  }

  /** The same world in the hands of another process. */
  readonly for = (hands: Hands): World => new World(hands, this.journal, this.told)

  /** Every change, in the order in which they took effect. */
  get applied(): ReadonlyArray<string> {
    return this.journal.all()
  }

  /** What a tool does. */
  readonly act = (name: string): Effect.Effect<unknown> =>
    Effect.gen({ self: this }, function*() {
      const { after, answer, before } = this.hands
      yield* before?.(name) ?? Effect.void
      if (name === "look") return `there is: ${this.applied.join(", ")}`
      this.journal.add(name)
      yield* after?.(name) ?? Effect.void
      return answer === undefined ? `${name} applied` : answer(name)
    })

  /** Each change, sorted: every one of them once. */
  get changes(): ReadonlyArray<string> {
    return this.applied.toSorted()
  }

  static readonly once: ReadonlyArray<string> = [...order].toSorted()
}
