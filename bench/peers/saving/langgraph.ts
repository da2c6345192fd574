/**
 * The savers of LangGraph, called as its loop calls them: `putWrites` for what a superstep wrote, then `put` of the next
 * checkpoint. One superstep per turn: its own agents do two. By default a checkpoint holds the whole channel of messages; a
 * `DeltaChannel`, which is in beta, is left out of most checkpoints, and made again from the writes when it is read.
 */
import { AIMessage, type BaseMessage, ToolMessage } from "@langchain/core/messages"
import { DeltaChannel, messagesDeltaReducer } from "@langchain/langgraph"
import { type BaseCheckpointSaver, DeltaSnapshot, MemorySaver, uuid6 } from "@langchain/langgraph-checkpoint"
import { PostgresSaver } from "@langchain/langgraph-checkpoint-postgres"
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { countingPool } from "../../support/servers.ts"
import { type Candidate, type Message, tableBytes } from "./candidate.ts"

const classOf = ({ content, role }: Message, id: number): BaseMessage => {
  const text = typeof content === "string" ? content : JSON.stringify(content ?? "")
  return role === "tool"
    ? new ToolMessage({ id: `m${id}`, content: text, tool_call_id: `call-${id}` })
    : new AIMessage({ id: `m${id}`, content: text })
}

export const puts = (saver: BaseCheckpointSaver, thread: string, messages: ReadonlyArray<BaseMessage>, step: number) =>
  saver.put(
    { configurable: { thread_id: thread, checkpoint_ns: "" } },
    {
      v: 4,
      id: uuid6(step),
      ts: new Date().toISOString(),
      channel_values: { messages },
      channel_versions: { messages: step, "branch:to:agent": step },
      versions_seen: {}
    },
    { source: "loop", step, parents: {} },
    { messages: step }
  )

/** Messages of a run for those who list runs. */
export const classesOf = (messages: ReadonlyArray<Message>): ReadonlyArray<BaseMessage> => messages.map(classOf)

const through = (saver: BaseCheckpointSaver): Pick<Candidate, "begin" | "save" | "load" | "grows"> => {
  let thread = ""
  let step = 0
  let messages: ReadonlyArray<BaseMessage> = []
  let config: Awaited<ReturnType<typeof puts>> = {}
  return {
    grows: true,
    begin: (history) => {
      thread = randomUUID()
      step = 1
      messages = classesOf(history)
      return Effect.promise(async () => {
        config = await puts(saver, thread, messages, step)
      })
    },
    save: (turn) => {
      const added = turn.map((message, index) => classOf(message, messages.length + index))
      return Effect.promise(async () => {
        await saver.putWrites(config, [["messages", added]], `t${step}`)
        messages = [...messages, ...added]
        step++
        config = await puts(saver, thread, messages, step)
      })
    },
    load: Effect.promise(async () => {
      const found = await saver.getTuple({ configurable: { thread_id: thread, checkpoint_ns: "" } })
      const read = found?.checkpoint.channel_values["messages"]
      return Array.isArray(read) ? read.length : 0
    })
  }
}

const deltas = (saver: BaseCheckpointSaver): Pick<Candidate, "begin" | "save" | "load" | "grows"> => {
  const empty = new DeltaChannel<Array<BaseMessage>, Array<BaseMessage>>(messagesDeltaReducer)
  let thread = ""
  let step = 0
  let updates = 0
  let messages: ReadonlyArray<BaseMessage> = []
  let config: Awaited<ReturnType<typeof puts>> = {}
  const put = (values: Record<string, unknown>) =>
    saver.put(
      { configurable: { ...config.configurable, thread_id: thread, checkpoint_ns: "" } },
      {
        v: 4,
        id: uuid6(step),
        ts: new Date().toISOString(),
        channel_values: values,
        channel_versions: { messages: step, "branch:to:agent": step },
        versions_seen: {}
      },
      { source: "loop", step, parents: {}, counters_since_delta_snapshot: { messages: [updates, updates] } },
      { messages: step }
    )
  return {
    grows: false,
    begin: (history) => {
      thread = randomUUID()
      step = 1
      updates = 0
      messages = classesOf(history)
      config = {}
      return Effect.promise(async () => {
        config = await put({ messages: new DeltaSnapshot(messages) })
      })
    },
    save: (turn) => {
      const added = turn.map((message, index) => classOf(message, messages.length + index))
      return Effect.promise(async () => {
        await saver.putWrites(config, [["messages", added]], `t${step}`)
        messages = [...messages, ...added]
        step++
        updates++
        const isFull = updates >= empty.snapshotFrequency
        if (isFull) updates = 0
        config = await put(isFull ? { messages: new DeltaSnapshot(messages) } : {})
      })
    },
    load: Effect.promise(async () => {
      const history = await saver.getDeltaChannelHistory({ config, channels: ["messages"] })
      const { seed, writes } = history["messages"] ?? { writes: [] }
      const channel = empty.fromCheckpoint(seed instanceof DeltaSnapshot ? seed : undefined)
      channel.replayWrites(writes)
      return channel.get().length
    })
  }
}

export const postgresSaver = Effect.fnUntraced(function*(url: string) {
  const { pool, sent } = yield* countingPool(url)
  const saver = new PostgresSaver(pool, undefined, { schema: "langgraph" })
  yield* Effect.promise(() => saver.setup())
  const candidate: Candidate = {
    name: "LangGraph PostgresSaver",
    ...through(saver),
    sent,
    stored: tableBytes(pool, "langgraph")
  }
  return { candidate, saver }
})

/** In a schema of its own, so that what it stores can be told from the others. */
export const postgresSaverOfDeltas = Effect.fnUntraced(function*(url: string) {
  const { pool, sent } = yield* countingPool(url)
  const saver = new PostgresSaver(pool, undefined, { schema: "langgraph_deltas" })
  yield* Effect.promise(() => saver.setup())
  const candidate: Candidate = {
    name: "the same, DeltaChannel (beta)",
    ...deltas(saver),
    sent,
    stored: tableBytes(pool, "langgraph_deltas")
  }
  return candidate
})

export const memorySaver = (): Candidate => ({ name: "LangGraph MemorySaver", ...through(new MemorySaver()) })
