/** Leaves out what is `undefined`: for options whose absence means something. */
export const present = <T extends object>(options: T): { readonly [K in keyof T]: Exclude<T[K], undefined> } =>
  // Exactly those that are left have a value.
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    readonly [K in keyof T]: Exclude<T[K], undefined>
  }
