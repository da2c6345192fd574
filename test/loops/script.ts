/** A model for tests of agent loops: it decides from what the conversation says, like a real one, and remembers nothing. */
import { randomUUID } from "node:crypto"

/** A call that the conversation holds, and what it says of its result. */
export interface Made {
  readonly name: string
  readonly result: string | undefined
}

/** What the model says next. */
export type Turn =
  | { readonly text: string; readonly calls?: undefined }
  | { readonly calls: ReadonlyArray<{ readonly id: string; readonly name: Name }> }

export type Name = "look" | "comment" | "label" | "close"

/** What it was asked to do: two things at once, and then a third. */
export const order = ["comment", "label", "close"] as const

const call = (...names: ReadonlyArray<Name>): Turn => ({
  calls: names.map((name) => ({ id: `call_${randomUUID().slice(0, 8)}`, name }))
})

/** Does what is not done; of what it is told that nobody knows, it looks first. */
export const next = (made: ReadonlyArray<Made>): Turn => {
  if (made.length === 0) return call("look", "comment", "label")
  const done = new Set<string>()
  let unsure = false
  for (const { name, result = "" } of made) {
    if (/outcome unknown|cannot be written down/i.test(result)) unsure = true
    else if (result.includes("applied")) done.add(name)
    else if (name === "look" && result.includes("there is")) {
      unsure = false
      for (const there of order) if (result.includes(there)) done.add(there)
    }
  }
  if (unsure) return call("look")
  const first = order.slice(0, 2).filter((name) => !done.has(name))
  if (first.length > 0) return call(...first)
  return done.has("close") ? { text: "All is done." } : call("close")
}
