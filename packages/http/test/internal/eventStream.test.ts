import { assert, it } from "@effect/vitest"
import { makeEventParser } from "../../src/internal/eventStream.ts"

const text =
  "retry: 1\n\nid: 1\nevent: a\ndata: x\ndata:y\n\n: ping\n\nevent: none\n\ndata: {\"z\":1}\r\n\r\nid:3\rdata: r\r\rdata: cut"

const expected = [
  { event: "a", data: "x\ny", id: "1" },
  { event: "message", data: "{\"z\":1}", id: undefined },
  { event: "message", data: "r", id: "3" }
]

it("events are the same however the text is cut", () => {
  for (let size = 1; size <= text.length; size++) {
    const push = makeEventParser()
    const events = []
    for (let at = 0; at < text.length; at += size) events.push(...push(text.slice(at, at + size)))
    assert.deepStrictEqual(events, expected, `in pieces of ${size}`)
  }
})
