/**
 * Imports the modules that `entries.json` names, and prints as JSON which of them need an optional peer.
 * Any other failure ends it.
 */
import { readFile } from "node:fs/promises"

const needs = {}
const specifiers = JSON.parse(await readFile(new URL("entries.json", import.meta.url), "utf8"))
await Promise.all(specifiers.map(async (specifier) => {
  try {
    await import(specifier)
  } catch (error) {
    if (error.code !== "OPTIONAL_PEER") throw new Error(`${specifier} cannot be imported`, { cause: error })
    needs[specifier] = error.name
  }
}))
console.log(JSON.stringify(needs))
