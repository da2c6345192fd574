import { assert, it } from "@effect/vitest"

const signals = () =>
  ["SIGTERM", "SIGINT", "SIGHUP", "beforeExit", "exit", "uncaughtException", "unhandledRejection"]
    .map((event) => process.listenerCount(event))

const globals = (): Record<string, PropertyDescriptor> =>
  Object.fromEntries(Object.entries(Object.getOwnPropertyDescriptors(globalThis)))

it("importing and mounting installs no process handlers and changes no globals", async () => {
  const before = { signals: signals(), globals: globals() }
  const { FastifyAdapter, HeartbeatHandler, HonoAdapter, NextAdapter, NodeAdapter } = await import("@everbeat/http")
  const { auth, heartbeats, host } = await import("./harness.ts")
  const { Effect } = await import("effect")
  const handler = HeartbeatHandler.make({ heartbeats, auth: await Effect.runPromise(auth), layer: host })
  for (
    const mount of [
      FastifyAdapter.toFastifyPlugin,
      HonoAdapter.toHonoHandler,
      NextAdapter.toNextRoutes,
      NodeAdapter.toNodeHandler
    ]
  ) mount(handler)
  assert.strictEqual((await handler.fetch(new Request("http://host.test/api/openapi.json"))).status, 401)
  await handler.dispose()
  assert.deepStrictEqual(signals(), before.signals)
  const after = globals()
  for (const [name, descriptor] of Object.entries(before.globals)) {
    assert.deepStrictEqual(after[name], descriptor, name)
  }
  // `effect` and the runner keep something there, under names that are theirs.
  const added = Object.keys(after).filter((name) => !(name in before.globals) && !/^(?:~effect|__v)/u.test(name))
  assert.deepStrictEqual(added, [])
})
