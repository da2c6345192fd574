/** A workflow of two steps, whose second one is under way when its process ends. */

export interface Options {
  readonly url: string
  /** `first` begins the workflow; `heir` only continues what there is. */
  readonly role: "first" | "heir"
  /** Who the process is, for systems that have to be told. */
  readonly identity: string
  readonly leaseSeconds: number
  /** What the second step does. */
  readonly second: () => Promise<void>
}

/** Ends the process in good order. */
export type Close = () => Promise<void>

export type Start = (options: Options) => Promise<Close>
