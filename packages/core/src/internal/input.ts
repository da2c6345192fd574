/** What callers may name an agent and a key. */
import { InvalidInput } from "../PassError.ts"

export const keyPattern = /^[\x21-\x7e]{1,255}$/u

export const badName = (agent: string): InvalidInput =>
  new InvalidInput({
    field: "agent",
    detail: `${JSON.stringify(agent.slice(0, 64))} is not 1 to 128 letters, digits, '.', '_' or '-', ` +
      "starting with a letter or a digit"
  })

export const badKey = new InvalidInput({ field: "key", detail: "use 1 to 255 visible ASCII characters" })
