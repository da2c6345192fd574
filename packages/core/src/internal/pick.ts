/** Takes the fields of a schema from a value that may have more, and leaves out those that are there but undefined. */
export const pick = <A extends object>(fields: { readonly [Key in keyof A]-?: unknown }): (value: A) => A => {
  const keys = Object.keys(fields)
  return (value) => {
    const found = keys.map((key) => [key, Reflect.get(value, key)] as const)
    // Every field that has a value is taken, so the required ones are there.
    return Object.fromEntries(found.filter(([, field]) => field !== undefined)) as A
  }
}
