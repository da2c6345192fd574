/** The `checkpoint` of an agent's context: what is saved when. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type { AgentCheckpoint, RememberedCall, ToolCall, Update } from "../../AgentContext.ts"
import type { Checkpointer, SaveError, State, Update as Saved, WriteError } from "../../Checkpointer.ts"
import { LeaseLost } from "../../PassError.ts"
import type { CallRecord } from "../../Transcript.ts"
import { offence } from "../checkpointer/plain.ts"
import { valuesOf } from "../diagnose.ts"
import { takesMore } from "../takesMore.ts"
import type { Definition } from "./definition.ts"
import * as Ledger from "./ledger.ts"
import { warningOf } from "./warning.ts"

type Policy<M> = Pick<Definition<M, unknown, unknown, never>, "every" | "onMutation" | "onStoreFailure" | "transcript">

/** What the files of a run are told. */
export interface Listener {
  readonly onIteration: (iteration: number) => Effect.Effect<void>
  readonly onMutation: Effect.Effect<void>
  readonly onPhase: Effect.Effect<void>
  readonly onPhaseEnd: Effect.Effect<void>
}

/** Bytes of JSON, in UTF-8: a recorded result must not be worth more than the turn it belongs to. */
const maxResultBytes = 256 * 1024

export class Progress<M> {
  ledger: Ledger.Ledger
  iteration: number
  phase: string
  completedPhases: ReadonlyArray<string>
  /** The ledger has changed since it was handed to the checkpointer. */
  private dirty = false
  /** The iteration that was due last. */
  private written: number
  private listener: Listener | undefined
  /** After the attempt has ended, what it left behind changes nothing any more. */
  closed = false
  readonly checkpointer: Checkpointer<M>
  private readonly definition: Policy<M>
  private readonly now: () => number

  constructor(
    checkpointer: Checkpointer<M>,
    definition: Policy<M>,
    state: State<M>,
    ledger: Ledger.Ledger,
    now: () => number
  ) {
    this.checkpointer = checkpointer
    this.definition = definition
    this.now = now
    this.ledger = ledger
    this.iteration = state.iteration
    this.written = state.iteration
    this.phase = state.phase
    this.completedPhases = state.completedPhases
  }

  listen(listener: Listener): void {
    this.listener = listener
  }

  change(ledger: Ledger.Ledger): void {
    if (ledger === this.ledger) return
    this.ledger = ledger
    this.dirty = true
  }

  get context(): AgentCheckpoint<M> {
    return {
      save: (update) => this.open(() => this.save(update)),
      note: (text) =>
        this.open(() => {
          this.change(Ledger.note(this.ledger, text))
          return this.persist
        }),
      flush: this.open(() => this.flush),
      tool: (call, effect) => this.open(() => this.tool(call, effect)),
      phase: (name, effect) => this.open(() => this.runPhase(name, effect))
    }
  }

  private open<A, E, R>(use: () => Effect.Effect<A, E, R>): Effect.Effect<A, E | LeaseLost, R> {
    return Effect.suspend((): Effect.Effect<A, E | LeaseLost, R> =>
      this.closed ? Effect.fail(new LeaseLost({ runId: this.checkpointer.runId })) : use()
    )
  }

  /** Hands what changed to the checkpointer, with the ledger when that is new. What is refused leaves all as it was. */
  private put(update: Saved<M>, deferred: boolean): Effect.Effect<void, SaveError> {
    return Effect.suspend(() => {
      const { dirty } = this
      if (!dirty && Object.keys(update).length === 0) return Effect.void
      this.dirty = false
      const all = dirty ? { ...update, notes: Ledger.encode(this.ledger) } : update
      // What the agent hands over as its time ends is encoded all the same: it is the newest state.
      return Effect.uninterruptible(
        Effect.onExit(this.checkpointer.save(all, { deferred }), (exit) =>
          Effect.sync(() => {
            if (dirty && Exit.isFailure(exit)) this.dirty = true
          }))
      )
    })
  }

  /** Hands over the ledger. */
  readonly persist: Effect.Effect<void, SaveError> = Effect.suspend(() => this.put({}, false))

  /** The newest state is durable after this, or the store does not answer. */
  readonly flush: Effect.Effect<void, SaveError | WriteError> = Effect.suspend(() =>
    Effect.andThen(this.persist, Effect.asVoid(this.checkpointer.flush))
  )

  /** A safety point: while the store fails, the agent's policy decides whether it goes on without. */
  private readonly barrier: Effect.Effect<void, SaveError | WriteError> = Effect.suspend(() =>
    this.definition.onStoreFailure === "stop"
      ? this.flush
      : Effect.catchTag(this.flush, "StoreError", () => Effect.void)
  )

  private readonly save = (update: Update<M>): Effect.Effect<void, SaveError | WriteError> =>
    Effect.suspend(() => {
      const { iteration = this.iteration, messages, notes, phase = this.phase } = update
      if (notes !== undefined) this.change({ ...this.ledger, notes })
      const advanced = iteration !== this.iteration
      const phaseChanged = phase !== this.phase
      const due = phaseChanged || !advanced || Math.abs(iteration - this.written) >= this.definition.every
      const put = this.put({
        ...(messages === undefined ? undefined : { messages }),
        ...(advanced ? { iteration } : undefined),
        ...(phaseChanged ? { phase } : undefined)
      }, !due)
      const taken = Effect.suspend(() => {
        this.iteration = iteration
        this.phase = phase
        if (due) this.written = iteration
        if (messages !== undefined) this.forget(messages)
        return phaseChanged ? this.barrier : Effect.void
      })
      const told = phaseChanged
        ? this.listener?.onPhase
        : advanced
        ? this.listener?.onIteration(iteration)
        : undefined
      const saved = Effect.andThen(put, taken)
      return told === undefined ? saved : Effect.andThen(saved, told)
    })

  /** A call whose result the conversation holds needs no record any more. */
  private forget(messages: ReadonlyArray<M>): void {
    const { transcript } = this.definition
    if (transcript === undefined || this.ledger.calls.length === 0) return
    const ids = new Set(messages.flatMap((message) => transcript.results(message)))
    this.change(Ledger.answered(this.ledger, (id) => ids.has(id)))
  }

  private readonly runPhase = <A, E, R>(
    name: string,
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A | undefined, E | SaveError | WriteError, R> =>
    Effect.suspend(() => {
      if (this.completedPhases.includes(name)) return Effect.undefined
      const completed = Effect.suspend(() => {
        const completedPhases = [...this.completedPhases, name]
        // A completed phase is progress, and a store sees that in the notes.
        this.change({ ...this.ledger, phases: completedPhases.length })
        return Effect.andThen(
          this.put({ completedPhases, phase: "" }, false),
          Effect.suspend(() => {
            this.completedPhases = completedPhases
            this.phase = ""
            return this.barrier
          })
        )
      })
      const ended = Effect.andThen(this.listener?.onPhaseEnd ?? Effect.void, completed)
      return Effect.andThen(this.save({ phase: name }), Effect.tap(effect, () => ended))
    })

  private readonly tool = <A, E, R>(
    call: ToolCall & Partial<RememberedCall<A>>,
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | SaveError | WriteError, R> =>
    Effect.flatMap(this.remembered(call), (known) => {
      if (known !== undefined) return Effect.succeed(known.value)
      const { id, mutates = true, name } = call
      const { onMutation } = this.definition
      const startedAt = this.now()
      const record = (outcome: Pick<CallRecord, "status" | "result" | "detail">): void =>
        this.change(Ledger.record(this.ledger, { id, name, mutates, startedAt, ...outcome }, onMutation))
      const durable = mutates && onMutation ? this.barrier : Effect.void
      /** The record is made whatever happens; the wait until it is stored may be interrupted. */
      const ended = (exit: Exit.Exit<A, E>): Effect.Effect<void, SaveError | WriteError> => {
        // Of a call that was left behind nobody writes, and whether an interrupted one took effect is not known.
        if (this.closed || (Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause))) return Effect.void
        if (Exit.isFailure(exit)) {
          record({ status: "failed", detail: describe(exit.cause) })
          return Effect.interruptible(Effect.ignore(durable)) // the failure of the call itself is what counts
        }
        return Effect.flatMap(this.encodeResult(call, exit.value), (result) => {
          record({ status: "done", ...result })
          return Effect.interruptible(durable)
        })
      }
      return Effect.uninterruptibleMask((restore) => {
        record({ status: "started" })
        return restore(durable).pipe(
          Effect.andThen(Effect.exit(restore(effect))),
          Effect.tap(ended),
          Effect.flatten,
          Effect.tap(() => (mutates ? this.listener?.onMutation ?? Effect.void : Effect.void))
        )
      })
    })

  /** The result of a call that an earlier attempt recorded, where the caller says how to read it. */
  private remembered<A>(
    { id, result }: Pick<ToolCall, "id"> & Partial<RememberedCall<A>>
  ): Effect.Effect<{ readonly value: A } | undefined> {
    const known = this.ledger.calls.find((call) => call.id === id)
    if (result === undefined || known?.status !== "done" || known.result === undefined) return Effect.undefined
    const decoded = Schema.decodeUnknownEffect(Schema.toCodecJson(result))(known.result)
    // A result that its schema refuses by now is one that is not known.
    return Effect.match(decoded, { onFailure: () => undefined, onSuccess: (value) => ({ value }) })
  }

  private encodeResult<A>(
    { result }: Partial<RememberedCall<A>>,
    value: A
  ): Effect.Effect<Pick<CallRecord, "result" | "detail">> {
    const encoded: Effect.Effect<unknown, unknown> = result === undefined
      ? Effect.succeed(value === undefined ? null : value)
      : Schema.encodeUnknownEffect(Schema.toCodecJson(result))(value)
    const kept = Effect.map(encoded, (json): Pick<CallRecord, "result" | "detail"> => {
      const found = offence(json)
      if (found !== undefined) return { detail: `its result cannot be stored: ${found.detail}` }
      return takesMore(JSON.stringify(json), maxResultBytes)
        ? { detail: "its result is too long to be kept" }
        : { result: json as Schema.Json } // `offence` found nothing that is not
    })
    // What the tool returned is not ours: looking at it may even throw.
    return Effect.catchCause(kept, () => Effect.succeed({ detail: "its result does not fit its schema" }))
  }
}

const describe = (cause: Cause.Cause<unknown>): string => warningOf(valuesOf(cause)[0] ?? "it failed").message
