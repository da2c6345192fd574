/** Server-sent events, from the text of their stream. */

export interface ServerEvent {
  readonly event: string
  readonly data: string
  /** Absent when the event has none of its own. */
  readonly id: string | undefined
}

/** A parser that takes the text in any pieces and answers the events that are complete. */
export const makeEventParser = (): (text: string) => ReadonlyArray<ServerEvent> => {
  let rest = ""
  let event = ""
  let id: string | undefined
  let data: Array<string> = []
  return (text) => {
    const events: Array<ServerEvent> = []
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/u)
    rest = lines.pop() ?? ""
    for (const line of lines) {
      if (line === "") {
        if (data.length > 0) events.push({ event: event === "" ? "message" : event, data: data.join("\n"), id })
        event = ""
        id = undefined
        data = []
        continue
      }
      const [, field = "", value = ""] = /^([^:]*):? ?(.*)$/u.exec(line) ?? []
      if (field === "event") event = value
      else if (field === "data") data.push(value)
      else if (field === "id") id = value
    }
    return events
  }
}
