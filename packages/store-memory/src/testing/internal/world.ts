/** The processes of a test, one after the other, on one store and one clock. */
import { CheckpointStore } from "@everbeat/core/CheckpointStore"
import type { Everbeat } from "@everbeat/core/promise/Everbeat"
import { InvalidOptions } from "@everbeat/core/promise/InvalidOptions"
import { RunStore } from "@everbeat/core/RunStore"
import * as Crash from "@everbeat/core/testing/Crash"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as MemoryStore from "../../MemoryStore.ts"
import type { CrashEnd, Process } from "../TestEverbeat.ts"
import { instance, leaseTtlOf } from "./instance.ts"
import * as TrackedCrypto from "./trackedCrypto.ts"
import * as VirtualClock from "./virtualClock.ts"

/** A day on which nobody changes the clocks: times in failures are easy to read. */
const start = 1_767_225_600_000

const ignore = (): void => {}

export class World {
  private readonly crypto = TrackedCrypto.make(globalThis.crypto)
  private readonly clock = VirtualClock.make(start, this.crypto)
  private readonly stores: Context.Context<CheckpointStore | RunStore>
  private readonly optionsOf: (process: Process) => object
  private current: Everbeat | undefined
  private disposing: Promise<void> | undefined

  constructor(given: unknown) {
    this.optionsOf = typeof given === "function" ? (process) => Reflect.apply(given, undefined, [process]) : () => {
      if (typeof given === "object" && given !== null) return given
      throw new InvalidOptions("TestEverbeat.make", [
        {
          option: "the options",
          given: String(given),
          expected: "those of createEverbeat, or a function that answers them"
        }
      ])
    }
    this.stores = Effect.runSync(
      Effect.map(
        MemoryStore.make(),
        ({ checkpoints, runs }) => Context.make(CheckpointStore, checkpoints).pipe(Context.add(RunStore, runs))
      )
    )
  }

  get everbeat(): Everbeat {
    return this.current ??= this.living()
  }

  now(): Date {
    return DateTime.toDateUtc(DateTime.makeUnsafe(this.clock.currentTimeMillisUnsafe()))
  }

  advance(duration: Duration.Input): Promise<void> {
    return Effect.runPromise(this.clock.advance(duration))
  }

  sleep(duration: Duration.Input, signal?: AbortSignal): Promise<void> {
    const sleep = Effect.provideService(Effect.sleep(duration), Clock.Clock, this.clock)
    return Effect.runPromise(sleep, signal === undefined ? undefined : { signal })
  }

  async restart(): Promise<Everbeat> {
    const before = this.current
    this.current = undefined
    if (before !== undefined) await this.close(before)
    return this.everbeat
  }

  async crashAfterWrite<A>(
    n: number,
    use: (everbeat: Everbeat) => A | PromiseLike<A>,
    point?: Crash.CrashPoint
  ): Promise<CrashEnd<A>> {
    const isCount = n === Infinity || (Number.isSafeInteger(n) && n > 0)
    if (!isCount) {
      throw new InvalidOptions("crashAfterWrite", [{ option: "n", given: String(n), expected: "1 or more" }])
    }
    const crash = await Effect.runPromise(Effect.provideContext(Crash.crashAfterWrite(n, point), this.stores))
    const options = this.optionsOf({
      alive: () => Effect.runPromise(crash.alive),
      sleep: async (...input) => {
        await this.sleep(...input)
        await Effect.runPromise(crash.alive)
      }
    })
    let dead = false
    const died = Effect.runPromise(crash.crashed).then((): CrashEnd<A> => {
      dead = true
      return { crashed: true, writes: crash.writes() }
    })
    const doomed = instance(options, this.clock, this.crypto, crash.context, () => dead)
    const used = (async (): Promise<CrashEnd<A>> => {
      try {
        const value = await use(doomed)
        await this.close(doomed) // it may also die on the way out
        return { crashed: false, writes: crash.writes(), value }
      } catch (error) {
        await this.close(doomed)
        throw error
      }
    })()
    used.catch(ignore) // what a dead process says is heard by nobody
    const end = await Promise.race([died, used])
    // Nobody may go on with its runs before.
    if (end.crashed) await this.advance(Duration.sum(Duration.fromInputUnsafe(leaseTtlOf(options)), Duration.millis(1)))
    return end
  }

  dispose(): Promise<void> {
    return this.disposing ??= this.current === undefined ? Promise.resolve() : this.close(this.current)
  }

  private living(): Everbeat {
    const options = this.optionsOf({ alive: () => Promise.resolve(), sleep: (...input) => this.sleep(...input) })
    return instance(options, this.clock, this.crypto, this.stores)
  }

  /** The limits of what is stopped are on the clock of the test, and nobody is left to advance it. */
  private close(everbeat: Everbeat): Promise<void> {
    return Effect.runPromise(this.clock.runThrough(Effect.promise(() => everbeat.dispose())))
  }
}
