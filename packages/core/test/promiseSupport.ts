import { afterEach, beforeEach, expect, vi } from "vitest"

/** Lets so many timers pass. */
export const tick = async (times: number): Promise<void> => {
  if (times === 0) return
  await new Promise((resolve) => setTimeout(resolve, 1))
  await tick(times - 1)
}

export const until = (condition: () => boolean): Promise<boolean> =>
  vi.waitUntil(condition, { timeout: 20_000, interval: 5 })

export const gate = () => {
  let open = (): void => {}
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, promise }
}

/** Rejects when the signal aborts. */
export const stopped = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true })
  })

/** An error that throws whatever of it is looked at. */
export const hostile = (): Error => {
  const error = new Error("hidden")
  for (const key of ["message", "name", "_tag", "hint", "url", "cause", "stack", "retryable", "constructor"]) {
    Object.defineProperty(error, key, {
      get() {
        throw new Error("looked at")
      }
    })
  }
  return error
}

export const revoked = (): object => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

/** Fails each test after which a rejection is handled by nobody: Everbeat may leave none. */
export const expectNoUnhandled = (): void => {
  const unhandled: Array<unknown> = []
  const listener = (reason: unknown) => void unhandled.push(reason)
  beforeEach(() => {
    unhandled.length = 0
    process.on("unhandledRejection", listener)
  })
  afterEach(async () => {
    await tick(5)
    process.off("unhandledRejection", listener)
    expect(unhandled).toEqual([])
  })
}
