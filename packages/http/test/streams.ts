/** Reading server-sent events in tests. */
import type { HeartbeatHandler } from "@everbeat/http"
import { Effect } from "effect"
import { type CallOptions, requestOf, secrets, type Wire } from "./harness.ts"

export interface Event {
  readonly id: string | undefined
  readonly event: string
  readonly data: Wire
}

export const eventsOf = (text: string): ReadonlyArray<Event> =>
  text.split("\n\n").filter((block) => block.includes("event: ")).map((block) => {
    const field = (name: string) =>
      block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
    return { id: field("id"), event: field("event") ?? "", data: JSON.parse(field("data") ?? "null") }
  })

const path = "/api/agents/triage/heartbeat"

/** Asks for events, of the heartbeat of triage unless another address is given. */
export const open = (handler: HeartbeatHandler.HeartbeatHandler, options: CallOptions = {}, at = path) =>
  Effect.promise(() =>
    handler.fetch(requestOf(at, {
      method: "POST",
      token: secrets.triage,
      ...options,
      headers: { accept: "text/event-stream", ...options.headers }
    }))
  )

export const whole = (response: Response) => Effect.map(Effect.promise(() => response.text()), eventsOf)

/** Reads until the condition holds on what came so far. */
export const readUntil = (response: Response, holds: (text: string) => boolean) =>
  Effect.promise(async () => {
    const reader = response.body?.getReader()
    const decoder = new TextDecoder()
    const more = async (text: string): Promise<string> => {
      const { done, value } = await (reader?.read() ?? { done: true, value: undefined })
      const all = text + decoder.decode(value, { stream: true })
      return done || holds(all) ? all : more(all)
    }
    const text = await more("")
    await reader?.cancel()
    return text
  })
