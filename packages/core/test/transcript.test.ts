import { assert, describe, it } from "@effect/vitest"
import { Transcript } from "@everbeat/core"
import { Schema } from "effect"
import { Prompt } from "effect/ai"

/** One message that holds one result: the chat API of OpenAI. */
interface OpenAi {
  readonly role: "system" | "user" | "assistant" | "tool"
  readonly content: string
  readonly tool_calls?: ReadonlyArray<{ readonly id: string; readonly function: { readonly name: string } }>
  readonly tool_call_id?: string
}
const openAi: Transcript.Adapter<OpenAi> = {
  role: (message) => message.role,
  text: (message) => message.content,
  calls: (message) => message.tool_calls?.map(({ function: { name }, id }) => ({ id, name })) ?? [],
  results: (message) => message.tool_call_id === undefined ? [] : [message.tool_call_id],
  answer: (answers) => answers.map(({ id, text }) => ({ role: "tool", content: text, tool_call_id: id }))
}

/** Results are blocks of the next message of the user: the messages API of Anthropic. */
type Block =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "tool_use"; readonly id: string; readonly name: string }
  | {
    readonly type: "tool_result"
    readonly tool_use_id: string
    readonly content: string
    readonly is_error?: boolean
  }
interface Anthropic {
  readonly role: "user" | "assistant"
  readonly content: ReadonlyArray<Block>
}
const isResult = (block: Block) => block.type === "tool_result"
const toolResult = ({ id, isError, text }: Transcript.Answer): Block => ({
  type: "tool_result",
  tool_use_id: id,
  content: text,
  is_error: isError
})
const anthropic: Transcript.Adapter<Anthropic> = {
  role: ({ content, role }) => content.some(isResult) ? "tool" : role,
  text: ({ content }) =>
    content.flatMap((block) => block.type === "text" ? [block.text] : isResult(block) ? [block.content] : []).join(
      "\n"
    ),
  calls: ({ content }) =>
    content.flatMap((block) => block.type === "tool_use" ? [{ id: block.id, name: block.name }] : []),
  results: ({ content }) => content.flatMap((block) => block.type === "tool_result" ? [block.tool_use_id] : []),
  answer: (answers) => [{ role: "user", content: answers.map(toolResult) }],
  grouped: {
    join: (message, answers) => ({
      ...message,
      content: [
        ...message.content.filter(isResult),
        ...answers.map(toolResult),
        ...message.content.filter((block) => !isResult(block))
      ]
    }),
    pick: (message, keep, rest) => {
      let position = 0
      const content = message.content.filter((block) => isResult(block) ? keep(position++) : rest)
      return content.length === 0 ? undefined : { ...message, content }
    }
  }
}

/** Results are parts of messages of their own role: the prompt of `effect/ai`. */
const toolPart = ({ id, isError, name, result, text }: Transcript.Answer) =>
  Prompt.toolResultPart({ id, name, isFailure: isError, result: result ?? text, providerExecuted: false })
const effectAi: Transcript.Adapter<Prompt.Message> = {
  role: (message) => message.role,
  text: (message) =>
    typeof message.content === "string"
      ? message.content
      : message.content.flatMap((part) => part.type === "text" ? [part.text] : []).join("\n"),
  calls: (message) =>
    message.role === "assistant"
      ? message.content.flatMap((part) => part.type === "tool-call" && !part.providerExecuted ? [part] : [])
      : [],
  results: (message) =>
    message.role === "tool" ? message.content.flatMap((part) => part.type === "tool-result" ? [part.id] : []) : [],
  answer: (answers) => [Prompt.toolMessage({ content: answers.map(toolPart) })],
  grouped: {
    join: (message, answers) =>
      message.role === "tool"
        ? Prompt.toolMessage({ ...message, content: [...message.content, ...answers.map(toolPart)] })
        : undefined,
    pick: (message, keep, rest) => {
      if (message.role !== "tool") return rest ? message : undefined
      let position = 0
      const content = message.content.filter((part) => part.type === "tool-result" ? keep(position++) : rest)
      return content.length === 0 ? undefined : Prompt.toolMessage({ ...message, content })
    }
  }
}

/** A style of messages: how to make one, and how the provider judges a conversation. */
interface Style<M> {
  readonly adapter: Transcript.Adapter<M>
  readonly say: (role: "user" | "assistant", text: string) => M
  readonly call: (ids: ReadonlyArray<string>) => M
  /** Results, and words of the user with them where the style allows that. */
  readonly result: (ids: ReadonlyArray<string>, words?: string) => ReadonlyArray<M>
  /** Messages that the provider takes for one. */
  readonly sameTurn?: (a: M, b: M) => boolean
}
const nameOf = (id: string) => `tool-${id}`
const chatLike = <M>(
  adapter: Transcript.Adapter<M>,
  style: Pick<Style<M>, "say" | "call"> & { readonly one: (id: string) => M }
): Style<M> => ({
  adapter,
  say: style.say,
  call: style.call,
  result: (ids, words) => [...ids.map(style.one), ...(words === undefined ? [] : [style.say("user", words)])]
})
const inChat: Style<Transcript.Message> = chatLike(Transcript.chat, {
  say: (role, content) => ({ role, content }),
  call: (ids) => ({
    role: "assistant",
    content: "",
    calls: ids.map((id) => ({ id, name: nameOf(id), input: { id } }))
  }),
  one: (id) => ({ role: "tool", content: `result of ${id}`, callId: id })
})
const inOpenAi: Style<OpenAi> = chatLike(openAi, {
  say: (role, content) => ({ role, content }),
  call: (ids) => ({
    role: "assistant",
    content: "",
    tool_calls: ids.map((id) => ({ id, function: { name: nameOf(id) } }))
  }),
  one: (id) => ({ role: "tool", content: `result of ${id}`, tool_call_id: id })
})
const inAnthropic: Style<Anthropic> = {
  adapter: anthropic,
  say: (role, text) => ({ role, content: [{ type: "text", text }] }),
  call: (ids) => ({
    role: "assistant",
    content: [{ type: "text", text: "" }, ...ids.map((id) => ({ type: "tool_use" as const, id, name: nameOf(id) }))]
  }),
  result: (ids, words) => [{
    role: "user",
    content: [
      ...ids.map((id) => ({ type: "tool_result" as const, tool_use_id: id, content: `result of ${id}` })),
      ...(words === undefined ? [] : [{ type: "text" as const, text: words }])
    ]
  }],
  sameTurn: (a, b) => a.role === "user" && b.role === "user"
}
const inEffectAi: Style<Prompt.Message> = {
  adapter: effectAi,
  say: (role, text) =>
    role === "user"
      ? Prompt.userMessage({ content: [Prompt.textPart({ text })] })
      : Prompt.assistantMessage({ content: [Prompt.textPart({ text })] }),
  call: (ids) =>
    Prompt.assistantMessage({
      content: [
        Prompt.toolCallPart({ id: "hosted", name: "search", params: {}, providerExecuted: true }),
        ...ids.map((id) => Prompt.toolCallPart({ id, name: nameOf(id), params: { id }, providerExecuted: false }))
      ]
    }),
  result: (ids, words) => [
    Prompt.toolMessage({
      content: ids.map((id) =>
        Prompt.toolResultPart({ id, name: nameOf(id), isFailure: false, result: id, providerExecuted: false })
      )
    }),
    ...(words === undefined ? [] : [inEffectAi.say("user", words)])
  ]
}

/** What a provider demands: each call has one result, in the messages right behind, and there are no others. */
const refusal = <M>({ adapter, sameTurn = () => false }: Style<M>, messages: ReadonlyArray<M>): string | undefined => {
  let open: Array<string> = []
  let previous: M | undefined
  for (const message of messages) {
    const results = adapter.results(message)
    const continued = previous !== undefined && sameTurn(previous, message)
    if (results.length === 0 && !continued && open.length > 0) return `no result for ${open.join()}`
    for (const id of results) {
      if (!open.includes(id)) return `a result for ${id} that no call is open for`
      open = open.filter((other) => other !== id)
    }
    const calls = adapter.calls(message).map(({ id }) => id)
    if (calls.length > 0 && open.length > 0) return `no result for ${open.join()}`
    open.push(...calls)
    previous = message
  }
  return open.length > 0 ? `no result for ${open.join()}` : undefined
}

const Id = Schema.Literals(["a", "b", "c", "d", "e"])
const Ids = Schema.Array(Id).check(Schema.isMaxLength(4))
const Event = Schema.Struct({
  kind: Schema.Literals(["call", "result", "result", "mixed", "user", "assistant"]),
  ids: Ids
})
const Mess = Schema.Array(Event).check(Schema.isMaxLength(12))
const Status = Schema.Literals(["started", "done", "failed"])
const Ledger = Schema.UndefinedOr(Schema.Array(Schema.Struct({ id: Id, mutates: Schema.Boolean, status: Status })))

const conversation = <M>(style: Style<M>, events: typeof Mess.Type): ReadonlyArray<M> =>
  events.flatMap(({ ids, kind }) => {
    if (kind === "user" || kind === "assistant" || ids.length === 0) {
      return [style.say(kind === "assistant" ? kind : "user", "words")]
    }
    if (kind === "call") return [style.call([...new Set(ids)])]
    return style.result(ids, kind === "mixed" ? "more words" : undefined)
  })
const ledgerOf = (records: typeof Ledger.Type): ReadonlyArray<Transcript.CallRecord> | undefined =>
  records?.map((record) => ({ ...record, name: nameOf(record.id), startedAt: 1, result: `recorded ${record.id}` }))

const countIds = <M>({ adapter }: Style<M>, messages: ReadonlyArray<M>) => messages.flatMap(adapter.results).length

const properties = <M>(title: string, style: Style<M>) => {
  const { adapter } = style
  describe(`on ${title}`, () => {
    it.prop(
      "whatever was saved becomes a conversation that the provider accepts",
      [Mess, Ledger],
      ([events, records]) => {
        const messages = conversation(style, events)
        const fixed = Transcript.repair(adapter, messages, ledgerOf(records))
        assert.isUndefined(refusal(style, fixed.messages))
        // Nothing is lost, and nothing is made up that was not reported.
        const results = countIds(style, messages) - fixed.dropped.length + fixed.repaired.length
        assert.strictEqual(countIds(style, fixed.messages), results)
      },
      { arbitrary: { runs: 500 } }
    )

    it.prop("repairing twice is repairing once", [Mess, Ledger], ([events, records]) => {
      const ledger = ledgerOf(records)
      const once = Transcript.repair(adapter, conversation(style, events), ledger)
      const twice = Transcript.repair(adapter, once.messages, ledger)
      assert.strictEqual(twice.messages, once.messages)
      assert.deepStrictEqual([twice.repaired, twice.dropped], [[], []])
    }, { arbitrary: { runs: 500 } })

    it.prop("a message that makes calls or only speaks stays the same object, in its place", [Mess], ([events]) => {
      const messages = conversation(style, events)
      const fixed = Transcript.repair(adapter, messages, []).messages
      const assistant = (message: M) => adapter.role(message) === "assistant"
      const kept = fixed.filter(assistant)
      const saved = messages.filter(assistant)
      assert.strictEqual(kept.length, saved.length)
      kept.forEach((message, at) => assert.strictEqual(message, saved[at]))
    })

    it.prop("a conversation that lacks nothing comes back as the same array", [Schema.Array(Ids)], ([turns]) => {
      const messages = turns.flatMap((ids, turn) => {
        const unique = [...new Set(ids)].map((id) => `${id}${turn}`)
        return unique.length === 0
          ? [style.say("user", "words")]
          : [style.call(unique), ...style.result(unique.toReversed(), "more words")]
      })
      const fixed = Transcript.repair(adapter, messages, [])
      assert.strictEqual(fixed.messages, messages)
      assert.deepStrictEqual([fixed.repaired, fixed.dropped], [[], []])
    })

    it.prop("every answer says what the ledger knows", [Ids, Ledger], ([ids, records]) => {
      const unique = [...new Set(ids)]
      const { repaired } = Transcript.repair(adapter, [style.call(unique)], ledgerOf(records))
      assert.deepStrictEqual(
        repaired.map(({ how, id, isError }) => [id, how, isError]),
        unique.map((id): [string, Transcript.How, boolean] => {
          const record = records?.findLast((record) => record.id === id)
          if (records === undefined) return [id, "outcome-unknown", true]
          if (record === undefined) return [id, "not-executed", true]
          if (record.status !== "started") return [id, "outcome-known", record.status === "failed"]
          return [id, record.mutates ? "outcome-unknown" : "call-again", true]
        })
      )
    })
  })
}

describe("Transcript", () => {
  properties("plain messages", inChat)
  properties("one message for each result", inOpenAi)
  properties("results as blocks of the user's message", inAnthropic)
  properties("prompts of effect/ai", inEffectAi)

  it("results stand right behind their call, behind those of its siblings", () => {
    const call = inChat.call(["a", "b", "c"])
    const known = inChat.result(["b"])
    const hurry = inChat.say("user", "Hurry up.")
    const fixed = Transcript.repair(Transcript.chat, [call, ...known, hurry], [
      { id: "a", name: nameOf("a"), mutates: true, status: "done", startedAt: 1, result: { closed: true } }
    ])
    assert.deepStrictEqual(fixed.messages, [
      call,
      ...known,
      { role: "tool", callId: "a", content: "{\"closed\":true}" },
      {
        role: "tool",
        callId: "c",
        content: "NOT EXECUTED: the run was interrupted before this call started.",
        isError: true
      },
      hurry
    ])
    assert.strictEqual(fixed.messages[0], call)
    assert.strictEqual(fixed.messages[4], hurry)
  })

  it.prop("turns stay strict: what follows the calls holds all results, and the roles alternate", [
    Ids,
    Ids,
    Schema.Boolean
  ], ([calls, done, hurried]) => {
    const ids = [...new Set(["a", ...calls])]
    const results = done.filter((id, at) => ids.includes(id) && done.indexOf(id) === at)
    const words = hurried ? "Hurry up." : undefined
    const messages = [
      inAnthropic.say("user", "Do it."),
      inAnthropic.call(ids),
      ...(results.length === 0 && words === undefined ? [] : inAnthropic.result(results, words)),
      ...(results.length === 0 && words === undefined ? [] : [inAnthropic.say("assistant", "Good.")])
    ]
    const fixed = Transcript.repair(anthropic, messages, []).messages
    fixed.forEach((message, at) => assert.strictEqual(message.role, at % 2 === 0 ? "user" : "assistant"))
    const next = fixed[2]?.content ?? []
    assert.deepStrictEqual(
      next.slice(0, ids.length).flatMap((block) => isResult(block) ? [block.tool_use_id] : []).sort(),
      [
        ...ids
      ].sort()
    )
    assert.strictEqual(next.length, ids.length + (hurried ? 1 : 0))
  })

  it("a result that came too late is moved up as the same object", () => {
    const [call, words, late] = [inOpenAi.call(["a"]), inOpenAi.say("user", "Well?"), ...inOpenAi.result(["a"])]
    const fixed = Transcript.repair(openAi, [call, words, ...(late === undefined ? [] : [late])], [])
    assert.strictEqual(fixed.messages[1], late)
    assert.strictEqual(fixed.messages[2], words)
    assert.deepStrictEqual(fixed.repaired, [])
    const blocks = [inAnthropic.call(["a"]), inAnthropic.say("assistant", "Well."), ...inAnthropic.result(["a"])]
    assert.strictEqual(Transcript.repair(anthropic, blocks, []).messages[1], blocks[2])
  })

  it("a result belongs to the last call of its id", () => {
    const call = inChat.call(["a"])
    const messages = [call, inChat.say("user", "Again."), call, ...inChat.result(["a"])]
    const fixed = Transcript.repair(Transcript.chat, messages, [])
    assert.deepStrictEqual(fixed.messages.slice(2), messages.slice(1))
    assert.strictEqual(fixed.messages[1]?.isError, true)
  })

  it("results of no call are dropped and reported, the words beside them stay", () => {
    const fixed = Transcript.repair(anthropic, inAnthropic.result(["x", "y"], "And then?"), [])
    assert.deepStrictEqual(fixed.messages, [inAnthropic.say("user", "And then?")])
    assert.deepStrictEqual(fixed.dropped, ["x", "y"])
    // What stands behind one that is dropped is in its place.
    const messages = [inAnthropic.call(["a"]), ...inAnthropic.result(["x"]), ...inAnthropic.result(["a"], "And then?")]
    assert.strictEqual(Transcript.repair(anthropic, messages, []).messages[1], messages[2])
  })

  it("a record that may belong to another call is not believed", () => {
    const record = { id: "a", name: nameOf("a"), mutates: false, status: "done", startedAt: 1 } as const
    const twice = [inChat.call(["a"]), ...inChat.result(["a"]), inChat.call(["a"])]
    assert.strictEqual(Transcript.repair(Transcript.chat, twice, [record]).repaired[0]?.how, "outcome-unknown")
    const renamed = Transcript.repair(Transcript.chat, [inChat.call(["a"])], [{ ...record, name: "another" }])
    assert.strictEqual(renamed.repaired[0]?.how, "outcome-unknown")
    // No record at all: neither of them started.
    assert.strictEqual(Transcript.repair(Transcript.chat, twice, []).repaired[0]?.how, "not-executed")
  })

  it("a finished call without a result says how it ended", () => {
    const text = (record: Partial<Transcript.CallRecord>) =>
      Transcript.repair(Transcript.chat, [inChat.call(["a"])], [
        { id: "a", name: nameOf("a"), mutates: true, status: "done", startedAt: 1, ...record }
      ]).repaired[0]?.text
    assert.strictEqual(text({}), "(no result; the call succeeded)")
    assert.strictEqual(text({ status: "failed" }), "(no result; the call failed)")
    assert.strictEqual(text({ status: "failed", detail: "Locked." }), "Locked.")
    assert.strictEqual(text({ result: null }), "null")
  })

  it("the record of a call and a plain message survive JSON", () => {
    const record: Transcript.CallRecord = {
      id: "a",
      name: "x",
      mutates: true,
      status: "done",
      startedAt: 1,
      result: [1]
    }
    const json = Schema.fromJsonString(Transcript.CallRecord)
    assert.deepStrictEqual(Schema.decodeSync(json)(Schema.encodeSync(json)(record)), record)
    const message = inChat.call(["a"])
    assert.deepStrictEqual(Schema.decodeUnknownSync(Transcript.Message)(JSON.parse(JSON.stringify(message))), message)
  })
})
