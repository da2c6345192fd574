/**
 * How the messages of a run become the texts that a store keeps, and back.
 *
 * A codec is a plain value: the schema of one message, a version, and what is
 * laid on top (compression, encryption, a size limit). The `Checkpointer`
 * encodes each message once, when it first sees it.
 *
 * @since 0.1.0
 */
import type * as Aead from "effect/crypto/Aead"
import * as Schema from "effect/Schema"
import { RunId } from "./RunId.ts"

/**
 * Keys that encrypt what is stored.
 *
 * **Details**
 *
 * `write` names the key of new rows; every key in `keys` can be read with. To
 * rotate, add a key, deploy it everywhere, then name it in `write`; drop the old
 * one when the last run that used it has settled. A key id is 1 to 64 letters,
 * digits, `_` or `-`, and is stored with each row.
 *
 * **Gotchas**
 *
 * Nonces are random. With AES-GCM a key is good for about 2^32 rows: rotate
 * before, or use XChaCha20-Poly1305.
 *
 * @category models
 * @since 0.1.0
 */
export interface Encryption {
  readonly write: string
  readonly keys: Readonly<Record<string, Aead.Key>>
  /**
   * Whether rows that were written without encryption are read. Needed while
   * runs from before it was switched on are in flight; otherwise such a row is
   * taken for tampered.
   *
   * @default false
   */
  readonly readPlain?: boolean | undefined
}

/**
 * Options of a codec.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Version of the message schema, stored with each row. A row of a newer one
   * is refused and left untouched.
   *
   * @default 1
   */
  readonly version?: number | undefined
  /** Turns the JSON of a message written by an older version into that of this one. */
  readonly upgrade?: ((json: Schema.Json, version: number) => Schema.Json) | undefined
  /**
   * Bytes that one stored message may take, after compression and encryption.
   * The same limit holds for the notes and for the workspace.
   *
   * @default 16777216
   */
  readonly maxBytes?: number | undefined
  /** Compresses (raw DEFLATE) what takes more bytes than this, where that makes it smaller. Off when absent. */
  readonly compressAbove?: number | undefined
  /**
   * Bytes that a compressed message may inflate to. A longer one is neither written nor read: a small row that somebody put
   * into the store cannot take the memory of the process.
   *
   * @default 67108864
   */
  readonly maxInflatedBytes?: number | undefined
  /** Encrypts messages, notes and workspace, bound to their run and row. Off when absent. */
  readonly encryption?: Encryption | undefined
}

/**
 * A codec of the messages `M`.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageCodec<in out M> extends Options {
  readonly schema: Schema.Codec<M, Schema.Json>
  readonly version: number
  readonly maxBytes: number
  readonly maxInflatedBytes: number
}

/**
 * Error returned for a value that its schema cannot encode, or that JSON
 * cannot hold. The checkpoint stays as it was.
 *
 * **Details**
 *
 * `path` leads to the value: `messages[3].parts[0].data`.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unencodable extends Schema.TaggedError<Unencodable>("@everbeat/core/Unencodable")("Unencodable", {
  path: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.path} cannot be stored: ${this.detail}`
  }
  get hint(): string {
    return "Give the field a schema that encodes it, or leave it out of the message."
  }
}

/**
 * Error returned for a message, notes or a workspace that would take more bytes
 * than the codec allows. Nothing was written.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessageTooLarge
  extends Schema.TaggedError<MessageTooLarge>("@everbeat/core/MessageTooLarge")("MessageTooLarge", {
    path: Schema.String,
    bytes: Schema.Int,
    limit: Schema.Int
  })
{
  override get message(): string {
    return `${this.path} takes ${this.bytes} bytes; ${this.limit} are allowed.`
  }
  get hint(): string {
    return "Shorten it, compress it (compressAbove), or raise the codec's maxBytes, or maxInflatedBytes where it is compressed."
  }
}

/**
 * Error returned for a stored row that cannot be read. The row is left
 * untouched.
 *
 * **Details**
 *
 * `newer-version`: a later version wrote it. `unknown-key`: its key is not in
 * the keyring. `tampered`: it was changed, moved to another row or run,
 * encrypted with another key of that id, or is not encrypted where it must be.
 * `corrupt`: anything else that is not what this codec writes.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessageUnreadable
  extends Schema.TaggedError<MessageUnreadable>("@everbeat/core/MessageUnreadable")("MessageUnreadable", {
    runId: RunId,
    /** `row 12`, `notes` or `workspace`. */
    place: Schema.String,
    reason: Schema.Literals(["newer-version", "unknown-key", "tampered", "corrupt"]),
    detail: Schema.String
  })
{
  override get message(): string {
    return `The checkpoint of run ${this.runId} cannot be read at ${this.place}: ${this.detail}`
  }
  get hint(): string {
    switch (this.reason) {
      case "newer-version":
        return "Deploy the version that wrote it."
      case "unknown-key":
        return "Add that key to the codec's keyring."
      default:
        return "Restore the store from a backup, or give up the run."
    }
  }
}

/**
 * Creates a codec from the schema of one message.
 *
 * **Details**
 *
 * Values are stored in the JSON form of the schema, so `Date`, `bigint`,
 * `Uint8Array`, `Map`, `Set`, `undefined` and `NaN` come back as they were where
 * the schema says so. A field that the schema does not know is `Unencodable`,
 * not dropped.
 *
 * **Gotchas**
 *
 * JSON has no negative zero: `-0` comes back as `0`.
 *
 * **Example** (A codec with a limit)
 *
 * ```ts
 * import { MessageCodec } from "@everbeat/core"
 * import { Schema } from "effect"
 *
 * const Message = Schema.Struct({ role: Schema.String, at: Schema.Date, content: Schema.String })
 * const codec = MessageCodec.make(Message, { version: 2, maxBytes: 1_000_000 })
 * codec.version // => 2
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <M, E>(schema: Schema.Codec<M, E>, options: Options = {}): MessageCodec<M> => ({
  ...options,
  schema: jsonOf(schema),
  version: options.version ?? 1,
  maxBytes: options.maxBytes ?? 16 * 1024 * 1024,
  maxInflatedBytes: options.maxInflatedBytes ?? 64 * 1024 * 1024
})

// internal

// The derived codec encodes to JSON by definition; its type only says `Json` for schemas without services.
const jsonOf = <M, E>(schema: Schema.Codec<M, E>): Schema.Codec<M, Schema.Json> => Schema.toCodecJson(schema)

/**
 * Codec of messages that are JSON values already.
 *
 * @category constructors
 * @since 0.1.0
 */
export const json: MessageCodec<Schema.Json> = make(Schema.Json)
