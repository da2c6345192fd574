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
import type { Definition } from "./definition.ts"
import * as Ledger from "./ledger.ts"
import { warningOf } from "./warning.ts"

type Policy<M> = Pick<Definition<M, unknown, unknown, never>, "every" | "onMutation" | "onStoreFailure" | "transcript">

/** What the files of a run are told. */
export interface Listener {
  readonly onIteration: (iteration: number) => Effect.Effect<void>
  readonly onMutation: Effect.Effect<void>
  readonly onPhase: Effect.Effect<void>
}

/** A recorded result must not be worth more than the turn it belongs to. */
const maxResultLength = 256 * 1024

export class Progress<M> {
  ledger: Ledger.Ledger
  iteration: number
  phase: string
  completedPhases: ReadonlyArray<string>
  private messages: ReadonlyArray<M>
  private pending: Saved<M> = {}
  private dirty = false
  /** The iteration that was handed to the saver last. */
  private persisted: number
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
    this.messages = state.messages
    this.iteration = state.iteration
    this.persisted = state.iteration
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

  /** Hands the newest state to the saver. What cannot be encoded is dropped; the state before it stays. */
  readonly persist: Effect.Effect<void, SaveError> = Effect.suspend(() => {
    const { dirty, iteration, pending } = this
    if (!dirty && Object.keys(pending).length === 0) return Effect.void
    this.pending = {}
    this.dirty = false
    const update = dirty ? { ...pending, notes: Ledger.encode(this.ledger) } : pending
    return Effect.onExit(this.checkpointer.save(update), (exit) =>
      Effect.sync(() => {
        if (Exit.isSuccess(exit)) this.persisted = Math.max(this.persisted, iteration)
        else if (dirty) this.dirty = true // the ledger is not what was refused
      }))
  })

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
      if (messages !== undefined) {
        const known = this.messages.length
        this.messages = messages
        this.pending = { ...this.pending, messages }
        this.forget(messages.length >= known ? messages.slice(known) : messages)
      }
      if (notes !== undefined) this.change({ ...this.ledger, notes })
      const advanced = iteration !== this.iteration
      if (advanced) this.pending = { ...this.pending, iteration }
      this.iteration = iteration
      const phaseChanged = phase !== this.phase
      if (phaseChanged) this.pending = { ...this.pending, phase }
      this.phase = phase
      const due = phaseChanged || !advanced || Math.abs(iteration - this.persisted) >= this.definition.every
      const saved = phaseChanged ? this.barrier : due ? this.persist : Effect.void
      const told = phaseChanged
        ? this.listener?.onPhase
        : advanced
        ? this.listener?.onIteration(iteration)
        : undefined
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
      return Effect.andThen(
        this.save({ phase: name }),
        Effect.tap(effect, () =>
          Effect.suspend(() => {
            this.completedPhases = [...this.completedPhases, name]
            this.pending = { ...this.pending, completedPhases: this.completedPhases }
            return this.save({ phase: "" })
          }))
      )
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
      const settle = mutates && onMutation ? this.barrier : Effect.void
      const record = (outcome: Pick<CallRecord, "status" | "result" | "detail">) =>
        Effect.suspend(() => {
          this.change(Ledger.record(this.ledger, { id, name, mutates, startedAt, ...outcome }, onMutation))
          return settle
        })
      return Effect.uninterruptibleMask((restore) =>
        restore(record({ status: "started" })).pipe(
          Effect.andThen(restore(effect)),
          Effect.onExit((exit) => {
            if (this.closed) return Effect.void
            // Whether an interrupted call took effect is not known: it stays as started.
            if (Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)) return Effect.void
            if (Exit.isFailure(exit)) return record({ status: "failed", detail: describe(exit.cause) })
            return Effect.flatMap(
              this.encodeResult(call, exit.value),
              (result) => record({ status: "done", ...result })
            )
          }),
          Effect.tap(() => (mutates ? this.listener?.onMutation ?? Effect.void : Effect.void))
        )
      )
    })

  /** The result of a call that an earlier attempt recorded, where the caller says how to read it. */
  private remembered<A>(
    { id, result }: Pick<ToolCall, "id"> & Partial<RememberedCall<A>>
  ): Effect.Effect<{ readonly value: A } | undefined> {
    const known = this.ledger.calls.find((call) => call.id === id)
    if (result === undefined || known?.status !== "done") return Effect.undefined
    const decoded = Schema.decodeUnknownEffect(Schema.toCodecJson(result))(known.result ?? null)
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
    return Effect.match(encoded, {
      onFailure: () => ({ detail: "its result does not fit its schema" }),
      onSuccess: (json): Pick<CallRecord, "result" | "detail"> => {
        const found = offence(json)
        if (found !== undefined) return { detail: `its result cannot be stored: ${found.detail}` }
        return JSON.stringify(json).length > maxResultLength
          ? { detail: "its result is too long to be kept" }
          : { result: json as Schema.Json } // `offence` found nothing that is not
      }
    })
  }
}

const describe = (cause: Cause.Cause<unknown>): string => warningOf(valuesOf(cause)[0] ?? "it failed").message
