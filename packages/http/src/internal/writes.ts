/** Which requests are answered by an adapter of this package, so that `dispose` can wait for the bytes. */
const writes = new WeakMap<Request, Promise<void>>()

/** Notes that the answer to the request is on its way until the promise resolves. */
export const announceWrite = (request: Request, written: Promise<void>): void => {
  writes.set(request, written)
}

export const writeOf = (request: Request): Promise<void> | undefined => writes.get(request)
