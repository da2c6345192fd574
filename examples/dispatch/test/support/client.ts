import { Effect } from "effect"

/** Calls a host with the token that the tests give each agent. */
export const request = (method: "GET" | "POST", url: string, token = "t-triage", body?: unknown) =>
  Effect.promise(async (signal) => {
    const response = await fetch(url, {
      method,
      signal,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    return { status: response.status, headers: response.headers, body: await response.json() }
  })

export const beat = (url: string, agent = "triage") =>
  request("POST", `${url}/api/agents/${agent}/heartbeat`, `t-${agent}`)

export const isBusy = ({ status }: { readonly status: number }): boolean => status === 409

/** Asks until the answer is as wanted; the test's own limit ends it. */
export const until = <A, E, R>(effect: Effect.Effect<A, E, R>, holds: (value: A) => boolean): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    effect,
    (value) => holds(value) ? Effect.succeed(value) : Effect.andThen(Effect.sleep("50 millis"), until(effect, holds))
  )
