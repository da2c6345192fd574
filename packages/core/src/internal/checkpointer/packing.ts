/** From values to stored texts: `format.version.layers.key:body`. */
import * as Context from "effect/Context"
import * as Aead from "effect/crypto/Aead"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { WebCrypto } from "effect/crypto/WebCrypto"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type * as Scope from "effect/Scope"
import { type MessageCodec, MessageTooLarge, MessageUnreadable, Unencodable } from "../../MessageCodec.ts"
import type { RunId } from "../../RunId.ts"
import { StoreError } from "../../StoreError.ts"
import { deflate, inflate, InflatedTooLarge } from "./compression.ts"
import { offence, render } from "./plain.ts"

/** The format of a stored text. It changes when an older reader could not read it. */
const format = 1

const headerPattern = /^(\d{1,9})\.(\d{1,9})\.([jz])(e?)\.([\w-]{0,64})$/
const keyPattern = /^[\w-]{1,64}$/
const tagLength = 16

/** Encoded and perhaps compressed, but not yet bound to a row. */
export interface Packed {
  readonly layer: "j" | "z"
  readonly data: Uint8Array
  /** The JSON, when it was not compressed. */
  readonly json: string | undefined
}

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const standard = SchemaIssue.makeFormatterStandardSchemaV1()

const concat = (a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> => {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

const aeadLayer = Layer.provide(Aead.layerWebCrypto, SecureRandom.layerWebCrypto)

/** What stored texts of one run are made and read with. */
export type Packing<M> = Effect.Success<ReturnType<typeof makePacking<M>>>

export const makePacking = Effect.fnUntraced(function*<M>(
  codec: MessageCodec<M>,
  runId: RunId
): Effect.fn.Return<ReturnType<typeof build<M>>, StoreError, Scope.Scope> {
  const { encryption } = codec
  const { subtle } = yield* WebCrypto
  if (encryption === undefined) return build(codec, runId, subtle, undefined)
  const aead = Context.get(yield* Layer.build(aeadLayer), Aead.Aead)
  for (const id of Object.keys(encryption.keys)) {
    if (!keyPattern.test(id)) return yield* refused(`the key id ${JSON.stringify(id)} is not allowed`)
  }
  const key = Object.hasOwn(encryption.keys, encryption.write) ? encryption.keys[encryption.write] : undefined
  if (key === undefined) return yield* refused(`the keyring has no key '${encryption.write}' to write with`)
  return build(codec, runId, subtle, { ...encryption, aead, key })
})

const refused = (detail: string, cause?: unknown): StoreError =>
  new StoreError({ operation: "encrypt", reason: "refused", detail, cause })

interface Sealer {
  readonly aead: Aead.Aead["Service"]
  readonly key: Aead.Key
  readonly write: string
  readonly keys: Readonly<Record<string, Aead.Key>>
  readonly readPlain?: boolean | undefined
}

const build = <M>(
  codec: MessageCodec<M>,
  runId: RunId,
  subtle: SubtleCrypto | undefined,
  sealer: Sealer | undefined
) => {
  const { compressAbove, maxBytes, maxInflatedBytes, version } = codec
  const encode = Schema.encodeEffect(codec.schema, { onExcessProperty: "error" })
  const decode = Schema.decodeEffect(codec.schema)

  /** Bound to run, place and header: a row that is moved or whose header is changed cannot be decrypted. */
  const additionalData = (place: string, header: string): Uint8Array => utf8.encode(`${runId}|${place}|${header}`)

  const headerOf = (packed: Packed): string =>
    sealer === undefined
      ? `${format}.${version}.${packed.layer}.`
      : `${format}.${version}.${packed.layer}e.${sealer.write}`

  const storedBytes = (packed: Packed): number => {
    const header = headerOf(packed).length + 1
    if (sealer === undefined && packed.layer === "j") return header + packed.data.length
    const overhead = sealer === undefined ? 0 : sealer.key.algorithm.nonceLength + tagLength
    return header + 4 * Math.ceil((packed.data.length + overhead) / 3)
  }

  const packJson = Effect.fnUntraced(function*(
    json: string,
    path: string
  ): Effect.fn.Return<Packed, MessageTooLarge> {
    const data = utf8.encode(json)
    let packed: Packed = { layer: "j", data, json }
    if (compressAbove !== undefined && data.length > compressAbove) {
      const smaller: Packed = { layer: "z", data: yield* deflate(data), json: undefined }
      if (storedBytes(smaller) < storedBytes(packed)) packed = smaller
      // What could not be read back is not written.
      if (packed.layer === "z" && data.length > maxInflatedBytes) {
        return yield* new MessageTooLarge({ path, bytes: data.length, limit: maxInflatedBytes })
      }
    }
    const bytes = storedBytes(packed)
    if (bytes > maxBytes) return yield* new MessageTooLarge({ path, bytes, limit: maxBytes })
    return packed
  })

  /** The JSON text of a message. What its schema lets through although JSON cannot hold it is found here. */
  const stringify = Effect.fnUntraced(
    function*(message: M, path: string): Effect.fn.Return<string, Unencodable> {
      const encoded = yield* Effect.mapError(encode(message), ({ issue }) => unencodable(message, issue, path))
      const found = offence(encoded)
      if (found !== undefined) {
        return yield* new Unencodable({ path: render(path, found.path), detail: found.detail })
      }
      return JSON.stringify(encoded)
    },
    (effect, _, path) =>
      Effect.catchDefect(effect, (defect) =>
        Effect.fail(
          new Unencodable({
            path,
            detail: defect instanceof RangeError ? "it is nested too deeply" : `encoding it threw ${String(defect)}`
          })
        ))
  )

  /** SHA-256 of the JSON, where the platform has it: tells a copy of a stored message from a new one. */
  const hash = (json: Uint8Array): Effect.Effect<string | undefined> =>
    subtle === undefined
      ? Effect.undefined
      // The bytes were made by `TextEncoder` or by us: never on shared memory.
      : Effect.map(Effect.promise(() => subtle.digest("SHA-256", json as BufferSource)), (digest) =>
        Base64.encode(new Uint8Array(digest)))

  const seal = (packed: Packed, place: string): Effect.Effect<string, StoreError> => {
    const header = headerOf(packed)
    if (sealer === undefined) return Effect.succeed(`${header}:${packed.json ?? Base64.encode(packed.data)}`)
    return Effect.suspend(() => {
      const nonce = SecureRandom.randomBytesUnsafe(sealer.key.algorithm.nonceLength)
      return sealer.aead.encrypt(sealer.key, packed.data, { nonce, aad: additionalData(place, header) }).pipe(
        Effect.map((sealed) => `${header}:${Base64.encode(concat(nonce, sealed))}`),
        Effect.mapError((error) => refused(error.message, error))
      )
    })
  }

  const unreadable = (place: string, reason: MessageUnreadable["reason"], detail: string) =>
    new MessageUnreadable({ runId, place, reason, detail })

  const decrypt = Effect.fnUntraced(function*(
    data: Uint8Array,
    keyId: string,
    place: string,
    header: string
  ): Effect.fn.Return<Uint8Array, MessageUnreadable> {
    const key = sealer !== undefined && Object.hasOwn(sealer.keys, keyId) ? sealer.keys[keyId] : undefined
    if (sealer === undefined || key === undefined) {
      return yield* unreadable(place, "unknown-key", `it is encrypted with key '${keyId}', which is not in the keyring`)
    }
    const nonce = data.subarray(0, key.algorithm.nonceLength)
    return yield* sealer.aead.decrypt(key, data.subarray(nonce.length), { nonce, aad: additionalData(place, header) })
      .pipe(Effect.mapError(() => unreadable(place, "tampered", `key '${keyId}' does not decrypt it`)))
  })

  /** The JSON bytes in a stored text, and the version that wrote them. */
  const open = Effect.fnUntraced(function*(
    text: string,
    place: string
  ): Effect.fn.Return<{ readonly json: Uint8Array; readonly version: number }, MessageUnreadable> {
    const colon = text.indexOf(":")
    const header = text.slice(0, Math.max(0, colon))
    const newest = Number(/^\d{1,9}(?=\.)/.exec(text.slice(0, 10))?.[0] ?? 0)
    if (newest > format) {
      return yield* unreadable(place, "newer-version", `it has format ${newest}, this version reads up to ${format}`)
    }
    const [, , written, layer, encrypted, keyId = ""] = headerPattern.exec(header) ?? []
    if (layer === undefined || newest !== format) return yield* unreadable(place, "corrupt", "it has no valid header")
    if (Number(written) > version) {
      return yield* unreadable(
        place,
        "newer-version",
        `its messages have version ${written}, this codec reads up to ${version}`
      )
    }
    const body = text.slice(colon + 1)
    if (encrypted === "" && sealer !== undefined && sealer.readPlain !== true) {
      return yield* unreadable(place, "tampered", "it is not encrypted")
    }
    if (encrypted === "" && layer === "j") return { json: utf8.encode(body), version: Number(written) }
    const decoded = Base64.decode(body)
    if (Result.isFailure(decoded)) return yield* unreadable(place, "corrupt", "its body is not Base64")
    const data = encrypted === "" ? decoded.success : yield* decrypt(decoded.success, keyId, place, header)
    const json = layer === "j" ? data : yield* Effect.mapError(
      inflate(data, maxInflatedBytes),
      (cause) =>
        unreadable(
          place,
          "corrupt",
          cause instanceof InflatedTooLarge ? cause.message : "its compressed body is damaged"
        )
    )
    return { json, version: Number(written) }
  })

  const parse = (json: Uint8Array, place: string): Effect.Effect<Schema.Json, MessageUnreadable> =>
    Effect.try({
      // What `JSON.parse` makes is JSON.
      try: () => JSON.parse(fromUtf8.decode(json)) as Schema.Json,
      catch: () => unreadable(place, "corrupt", "its body is not JSON")
    })

  return {
    hash,
    seal,
    packMessage: (
      message: M,
      path: string
    ): Effect.Effect<Packed & { readonly bytes: Uint8Array }, Unencodable | MessageTooLarge> =>
      Effect.flatMap(stringify(message, path), (json) =>
        Effect.map(packJson(json, path), (packed) => ({
          ...packed,
          bytes: packed.json === undefined ? utf8.encode(json) : packed.data
        }))),
    packText: (text: string, path: string) => packJson(JSON.stringify(text), path),
    openText: (text: string, place: string): Effect.Effect<string, MessageUnreadable> =>
      Effect.flatMap(
        open(text, place),
        ({ json }) =>
          Effect.flatMap(parse(json, place), (value) =>
            typeof value === "string"
              ? Effect.succeed(value)
              : Effect.fail(unreadable(place, "corrupt", "it is not a text")))
      ),
    /** The message, and its hash when this version of the codec would write the same. */
    openMessage: Effect.fnUntraced(
      function*(
        text: string,
        row: number
      ): Effect.fn.Return<{ readonly message: M; readonly hash: string | undefined }, MessageUnreadable> {
        const place = `row ${row}`
        const { json, version: written } = yield* open(text, place)
        const value = yield* parse(json, place)
        const current = written === version
        const upgraded = current || codec.upgrade === undefined ? value : codec.upgrade(value, written)
        const message = yield* Effect.mapError(
          decode(upgraded),
          (error) => unreadable(place, "corrupt", error.message.slice(0, 500))
        )
        return { message, hash: current ? yield* hash(json) : undefined }
      },
      (effect, _, row) =>
        Effect.catchDefect(
          effect,
          (defect) => Effect.fail(unreadable(`row ${row}`, "corrupt", `decoding it threw ${String(defect)}`))
        )
    )
  }
}

/** Leads to the innermost value at fault: a schema of JSON blames the whole of it. */
const unencodable = (message: unknown, issue: SchemaIssue.Issue, base: string): Unencodable => {
  const [first] = standard(issue).issues
  const path = (first?.path ?? []).map((key) => (typeof key === "object" ? key.key : key))
  let value = message
  for (const key of path) {
    value = typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined
  }
  const isJson = first?.message === "Expected JSON value"
  const found = isJson ? offence(value) : undefined
  return new Unencodable({
    path: render(base, [...path, ...(found?.path ?? [])]),
    detail: found?.detail ?? first?.message ?? "its schema refuses it"
  })
}
