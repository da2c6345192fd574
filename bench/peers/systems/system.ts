/** Systems that run five steps durably. Each is in a process of its own. */

export interface System {
  /** One workflow, or pass, of five steps that do nothing; its end is durable when this resolves. */
  readonly run: (caller: number) => Promise<void>
  readonly close: () => Promise<void>
}

export interface Options {
  readonly url: string
  /** How many are run at once at most. */
  readonly concurrency: number
  readonly variant: string
}

export type Open = (options: Options) => Promise<System>
