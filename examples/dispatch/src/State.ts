import { Context, Effect, Layer, Option, Ref, Schema, Semaphore } from "effect"
import { randomUUID } from "node:crypto"
import { failureReason } from "./failureReason.ts"
import { TrackerUnavailable } from "./TrackerError.ts"

/** One value of Dispatch's own state. `operation` completes "the tracker refused to ..." if the state is out of reach. */
export interface Cell<A> {
  readonly get: (operation: string) => Effect.Effect<A, TrackerUnavailable>
  /**
   * Changes the value in one step, also among processes. The change may be computed more than once; returning the value
   * it was given changes nothing.
   */
  readonly modify: <B>(
    operation: string,
    change: (value: A) => readonly [result: B, next: A]
  ) => Effect.Effect<B, TrackerUnavailable>
}

/** A text that is replaced as a whole. Every replacement has a version of its own. */
export interface Document {
  readonly version: string
  readonly text: string
}

/** Where documents are kept, such as a database. */
export interface Documents {
  readonly read: (name: string) => Promise<Document | undefined>
  /** Replaces the version that was read, or adds a document that was missing; `false` if somebody else was faster. */
  readonly replace: (name: string, read: string | undefined, next: Document) => Promise<boolean>
}

/** Dispatch's own state: tickets, mirrored issues and reports. */
export class State extends Context.Service<State, {
  /** The cell with this name. One name has one schema. */
  readonly cell: <A>(name: string, schema: Schema.Codec<A, unknown>, initial: A) => Cell<A>
}>()("@everbeat/example-dispatch/State") {
  /** State in memory: each cell belongs to whoever asked for it. */
  static readonly layerMemory: Layer.Layer<State> = Layer.succeed(State, {
    cell: <A>(_name: string, _schema: Schema.Codec<A, unknown>, initial: A): Cell<A> => {
      const ref = Ref.makeUnsafe(initial)
      return { get: () => Ref.get(ref), modify: (_operation, change) => Ref.modify(ref, change) }
    }
  })

  /** State in documents that other processes change, too. */
  static readonly fromDocuments = (documents: Documents): State["Service"] => ({
    cell: <A>(name: string, schema: Schema.Codec<A, unknown>, initial: A): Cell<A> => {
      const codec = Schema.fromJsonString(Schema.toCodecJson(schema))
      const decode = Schema.decodeUnknownEffect(codec)
      const encode = Schema.encodeEffect(codec)
      // Changes of one process wait for each other here, so that they only ever race with other processes.
      const semaphore = Semaphore.makeUnsafe(1)

      const attempt = <B>(operation: string, outcome: Outcome, run: () => Promise<B>) =>
        Effect.tryPromise(run).pipe(
          Effect.timeout(patience),
          // What the database says is for the operator alone: it names hosts and users.
          Effect.tapError((error) =>
            Effect.logWarning(`Dispatch's state ${name} is out of reach: ${failureReason(error)}`)
          ),
          Effect.mapError(() => new TrackerUnavailable({ operation, outcome }))
        )

      const read = Effect.fnUntraced(function*(operation: string) {
        const document = yield* attempt(operation, "nothing", () => documents.read(name))
        if (document === undefined) return { version: undefined, value: initial }
        const value = yield* decode(document.text).pipe(
          Effect.tapError(({ message }) =>
            Effect.logError(`Dispatch's state ${name} is not what Dispatch wrote: ${message.slice(0, 300)}`)
          ),
          Effect.mapError(() => new TrackerUnavailable({ operation, outcome: "unreadable" }))
        )
        return { version: document.version, value }
      })

      const modify = Effect.fnUntraced(
        function*<B>(operation: string, change: (value: A) => readonly [B, A]) {
          for (let race = 0; race < maxRaces; race++) {
            const { value, version } = yield* read(operation)
            const [result, next] = change(value)
            if (next === value) return Option.some(result)
            const text = yield* Effect.orDie(encode(next))
            const document = { version: randomUUID(), text }
            if (yield* attempt(operation, "unknown", () => documents.replace(name, version, document))) {
              return Option.some(result)
            }
            yield* Effect.sleep(`${Math.ceil(Math.random() * 20)} millis`)
          }
          return Option.none<B>()
        },
        semaphore.withPermits(1)
      )

      return {
        get: (operation) => Effect.map(read(operation), ({ value }) => value),
        modify: (operation, change) =>
          Effect.flatMap(
            modify(operation, change),
            Option.match({
              onNone: () => Effect.fail(new TrackerUnavailable({ operation, outcome: "nothing" })),
              onSome: Effect.succeed
            })
          )
      }
    }
  })
}

// internal

type Outcome = TrackerUnavailable["outcome"]

const patience = "5 seconds"

/** How often a change is computed again because another process was faster. */
const maxRaces = 100
