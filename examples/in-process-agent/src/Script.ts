/** What the scripted model has in mind: a library of unit conversions, written one conversion at a time. */
/** A call of a tool, as a step of the script makes it. */
export interface ScriptedCall {
  readonly name: string
  readonly input: Readonly<Record<string, string>>
}

/** One turn of the model: what it says, and the tools it calls. */
export interface Step {
  readonly title: string
  readonly calls: ReadonlyArray<ScriptedCall>
}

/** What the agent is asked for. */
export const task = "Write src/units.js, a library of unit conversions. Test each of them, and run the tests as you go."

const source = "src/units.js"
const tests = "test/units.test.js"

const write = (path: string, text: string): ScriptedCall => ({ name: "write_file", input: { path, text } })
const append = (path: string, text: string): ScriptedCall => ({ name: "append_file", input: { path, text } })

const runTests = (when: string): Omit<Step, "title"> & { readonly what: string } => ({
  what: `run the tests (${when})`,
  calls: [{ name: "run_tests", input: {} }]
})

const conversion = (name: string, formula: string, given: number, expected: number) => ({
  what: `add ${name}`,
  calls: [
    append(source, `\nexport const ${name} = (value) => ${formula}\n`),
    append(tests, `\ntest("${name}", () => assert.equal(units.${name}(${given}), ${expected}))\n`)
  ]
})

/** The turns of the model, in their order. */
export const steps: ReadonlyArray<Step> = [
  {
    what: "begin the library and its tests",
    calls: [
      write(source, "/** Conversions of units. */\n"),
      write(
        tests,
        `import assert from "node:assert/strict"\nimport { test } from "node:test"\nimport * as units from "../${source}"\n`
      )
    ]
  },
  conversion("inchesToCentimetres", "value * 2.54", 10, 25.4),
  conversion("feetToInches", "value * 12", 3, 36),
  conversion("hoursToMinutes", "value * 60", 2, 120),
  runTests("lengths and hours"),
  conversion("daysToHours", "value * 24", 7, 168),
  conversion("celsiusToKelvin", "value + 273.15", 0, 273.15),
  conversion("celsiusToFahrenheit", "value * 1.8 + 32", 100, 212),
  runTests("days and temperatures"),
  conversion("kilogramsToGrams", "value * 1000", 4, 4000),
  conversion("dozensToPieces", "value * 12", 12, 144),
  runTests("all of it"),
  { what: "mention the library in the README", calls: [append("README.md", `\nUnits are converted by ${source}.\n`)] }
].map(({ calls, what }, index) => ({ title: `Step ${index + 1}: ${what}`, calls }))

/** The files as they are when each step was carried out once, in its order, on those of the repository. */
export const outcome = (files: Readonly<Record<string, string>>): Readonly<Record<string, string>> => {
  const all = { ...files }
  for (const { input, name } of steps.flatMap(({ calls }) => calls)) {
    const { path, text = "" } = input
    if (path !== undefined) all[path] = (name === "append_file" ? all[path] ?? "" : "") + text
  }
  return all
}
