/** The one cast from a world of any heartbeats and agents to that of the options. */
import { World } from "./world.ts"

export const makeTest = (options: unknown): never => {
  const world = new World(options)
  const test = {
    get everbeat() {
      return world.everbeat
    },
    now: () => world.now(),
    advance: world.advance.bind(world),
    crashAfterWrite: world.crashAfterWrite.bind(world),
    restart: () => world.restart(),
    dispose: () => world.dispose(),
    [Symbol.asyncDispose]: () => world.dispose()
  }
  return test as never
}
