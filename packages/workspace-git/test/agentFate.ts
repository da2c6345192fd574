import { Deferred, Effect } from "effect"

/** What changes something outside of the process. Renewals do not count: they depend on time. */
const changing = new Set([
  "store.begin",
  "store.save",
  "store.settle",
  "store.release",
  "store.claim",
  "store.claimNext",
  "store.requestCancel",
  "store.delete",
  "files.copyFile",
  "files.makeDirectory",
  "files.remove",
  "files.rename",
  "files.utimes"
])

/** What is under way outside of the processes of a test: commands, and operations on files. */
export class World {
  underWay = 0
  /** How often something has begun or ended. */
  activity = 0

  /** Answers how to end it; ending it twice changes nothing. */
  begin(): () => void {
    let open = true
    this.underWay++
    this.activity++
    return () => {
      if (!open) return
      open = false
      this.underWay--
      this.activity++
    }
  }

  during<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.acquireUseRelease(
      Effect.sync(() => this.begin()),
      () => effect,
      (end) => Effect.sync(end)
    )
  }
}

/**
 * The fate of a process: killed right after its n-th effect on the world, of
 * which it does not learn any more. An effect is a git command, a write to the
 * store, a change of a file, or an edit of the agent. What comes before the
 * first, or between two, leaves the same world: killing after each of them
 * kills before each of them too.
 */
export class Fate {
  /** What the process did. */
  readonly log: Array<string> = []
  /** How often each command was started, and which binary it gets. */
  readonly started: Array<string> = []
  binaryFor: (command: string) => string | undefined = () => undefined
  /** Called when a command has been started. */
  onCommand: (command: string) => void = () => {}
  readonly killed = Deferred.makeUnsafe<void>()
  readonly world: World
  private dead = false
  private readonly isLast: (name: string, count: number) => boolean

  constructor(world: World, isLast: (name: string, count: number) => boolean = () => false) {
    this.world = world
    this.isLast = isLast
  }

  /** Never goes on in a dead process. */
  readonly alive: Effect.Effect<void> = Effect.suspend(() => (this.dead ? Effect.never : Effect.void))

  readonly kill: Effect.Effect<void> = Effect.sync(() => {
    this.dead = true
    Deferred.doneUnsafe(this.killed, Effect.void)
  })

  /** Whatever changes the world goes through here. */
  effect<A, E, R>(name: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return this.read(Effect.onExit(effect, () =>
      Effect.suspend(() => {
        if (this.dead) return Effect.void
        return this.isLast(name, this.log.push(name)) ? this.kill : Effect.void
      })))
  }

  /** A service as a process sees it that may be killed. */
  guard<S extends object>(kind: string, service: S): S {
    const through = (name: string, result: unknown): unknown => {
      if (!Effect.isEffect(result)) return result
      if (changing.has(`${kind}.${name}`)) return this.effect(`${kind}.${name}`, this.counted(kind, result))
      return this.read(this.counted(kind, result))
    }
    return new Proxy(service, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key)
        return typeof value === "function"
          ? (...args: ReadonlyArray<unknown>) => through(String(key), Reflect.apply(value, target, args))
          : through(String(key), value)
      }
    })
  }

  private read<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return this.alive.pipe(
      Effect.andThen(effect),
      Effect.onExit(() => this.alive)
    )
  }

  private counted<A, E, R>(kind: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return kind === "files" ? this.world.during(effect) : effect
  }
}
