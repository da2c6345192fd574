/** What a backend would get of a host: its log and its spans. */
import { Cause, Layer, Logger, Tracer } from "effect"

/** A tracer that keeps its spans. */
export const keptSpans = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, layer: Layer.succeed(Tracer.Tracer, tracer) }
}

/** Text in which a secret would be found, also beside numbers that JSON does not have. */
const textOf = (value: unknown): string =>
  JSON.stringify(value, (_, value) => typeof value === "bigint" ? String(value) : value)

/** Keeps everything that a backend would get. */
export const observed = () => {
  const lines: Array<string> = []
  const { layer: tracing, spans } = keptSpans()
  const logger = Logger.make(({ cause, fiber, message }) => {
    lines.push(JSON.stringify([message, Cause.pretty(cause), [...fiber.context.mapUnsafe.keys()]]))
  })
  /** All of it, and what the test adds. */
  const text = (...more: ReadonlyArray<unknown>) =>
    textOf([lines, spans.map(({ attributes, events, name, status }) => [name, [...attributes], events, status]), more])
  return { lines, spans, text, layer: Layer.mergeAll(Logger.layer([logger]), tracing) }
}
