/** The quickstarts of the README, as somebody who reads it finds them. */

/** What a section tells its reader to do. */
export interface Quickstart {
  /** The packages of its `npm install`, or of the section before when it says that they are the same. */
  readonly install: ReadonlyArray<string>
  /** The file to save the code as. */
  readonly file: string
  readonly code: string
}

const sectionOf = (readme: string, heading: string): string => {
  // A line of code may look like a heading, but not like this one.
  const [, rest] = readme.split(new RegExp(`^## ${heading}$`, "m"))
  if (rest === undefined) {
    throw new Error(
      `README.md has no heading "## ${heading}": newcomers begin there. Put it back, or change scripts/newcomer.ts.`
    )
  }
  return rest.split(/^## /m)[0] ?? ""
}

/** Reads the section below a heading, or throws an error that says what is missing in it. */
export const quickstartOf = (readme: string, heading: string, before?: Quickstart): Quickstart => {
  const section = sectionOf(readme, heading)
  const missing = (what: string) =>
    new Error(`README.md, section "${heading}": ${what}. Newcomers do what it says: scripts/newcomer.ts follows it.`)
  const install = /^npm install (.+)$/m.exec(section)?.[1]?.trim().split(/\s+/)
  if (install === undefined && !/the same packages/i.test(section)) throw missing("no line \"npm install ...\"")
  const file = /[Ss]ave this as `([^`]+)`/.exec(section)?.[1]
  if (file === undefined) throw missing("no \"Save this as `...`\"")
  const code = /^```ts\n([\s\S]*?)^```$/m.exec(section)?.[1]
  if (code === undefined) throw missing("no ts block")
  if (!code.includes("// =>")) throw missing("the code promises nothing: no comment \"// => value\"")
  if (!code.includes("console.log(")) throw missing("the code prints nothing")
  return { install: install ?? before?.install ?? [], file, code }
}
