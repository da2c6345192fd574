/** An abort signal that is made when somebody asks for it: most steps never do. */
export class Abort {
  private controller: AbortController | undefined
  private reason: unknown

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController()
      if (this.reason !== undefined) this.controller.abort(this.reason)
    }
    return this.controller.signal
  }

  get aborted(): boolean {
    return this.reason !== undefined
  }

  abort(message: string): void {
    if (this.reason !== undefined) return
    this.reason = new DOMException(message, "AbortError")
    this.controller?.abort(this.reason)
  }
}
