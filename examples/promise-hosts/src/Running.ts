/** A host that serves Dispatch. */
export interface Running {
  readonly name: string
  readonly url: string
  readonly stop: () => Promise<void>
}
