/** What of a suite's report keeps its promise. A number that is not there keeps none. */
import { holds, type Report, round } from "./numbers.ts"
import { ratios } from "./ratios.ts"

/** Whether a number keeps its promise; absent when none was given. */
export const verdict = (name: string, value: number): boolean | undefined => {
  const target = ratios[name]?.target
  return target === undefined ? undefined : holds({ name, value, ...target })
}

/** The numbers of a suite, and the names of those that it could not measure. */
export const numbersOf = (
  values: Readonly<Record<string, unknown>>
): { readonly found: Readonly<Record<string, number>>; readonly without: ReadonlyArray<string> } => {
  const found: Record<string, number> = {}
  const without: Array<string> = []
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === "number" && Number.isFinite(value)) found[name] = value
    else without.push(name)
  }
  return { found, without }
}

/** What was promised and is not so: by the ratios, and by the limits of the suite itself. */
export const unkept = (
  { limits }: Pick<Report, "limits">,
  found: Readonly<Record<string, number>>
): ReadonlyArray<string> => [
  ...Object.entries(found).flatMap(([name, value]) => verdict(name, value) === false ? [`${name} is ${value}`] : []),
  ...limits.flatMap(({ holds, limit, name, operator, value }) =>
    holds || ratios[name]?.target !== undefined ? [] : [`${name} is ${round(value)}, and not ${operator} ${limit}`]
  )
]
