/** Puts the parts of a stream together. */
import type { Content, StreamPart } from "./model.ts"

type Said = Extract<Content, { readonly type: "text" | "reasoning" }>

/** The content of one answer, as its parts come. */
export class Collected {
  readonly content: Array<Content> = []
  private readonly open = new Map<string, Said>()

  add(part: StreamPart): void {
    switch (part.type) {
      case "text-start":
        return this.start("text", part)
      case "reasoning-start":
        return this.start("reasoning", part)
      case "text-delta":
      case "text-end":
        return this.more("text", part)
      case "reasoning-delta":
      case "reasoning-end":
        return this.more("reasoning", part)
      case "tool-call":
      case "tool-result":
      case "tool-approval-request":
      case "file":
      case "reasoning-file":
      case "custom":
      case "source":
        this.content.push(part)
        return
      default:
        return
    }
  }

  private start(type: Said["type"], part: Pick<Said, "providerMetadata"> & { readonly id: string }): void {
    const said: Said = { type, text: "" }
    if (part.providerMetadata !== undefined) said.providerMetadata = part.providerMetadata
    this.content.push(said)
    this.open.set(`${type} ${part.id}`, said)
  }

  /** The metadata that comes last counts: signatures come at the end. */
  private more(
    type: Said["type"],
    part: Pick<Said, "providerMetadata"> & { readonly id: string; readonly delta?: string }
  ): void {
    const said = this.open.get(`${type} ${part.id}`)
    if (said === undefined) return // the SDK refuses such a stream itself
    said.text += part.delta ?? ""
    if (part.providerMetadata !== undefined) said.providerMetadata = part.providerMetadata
  }
}
