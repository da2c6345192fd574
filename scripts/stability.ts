/**
 * Holds the list of unstable modules in the guide to the truth: those whose
 * published types show modules of Effect that Effect marks unstable.
 */
import { existsSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { publicPackages, root } from "./packages.ts"
import { importsOf } from "./syntax.ts"

const guide = "docs/guides/stability.md"

const isUnstable = (specifier: string): boolean => {
  if (!specifier.startsWith("effect/")) return false
  const source = join(root, "node_modules/effect/src", `${specifier.slice("effect/".length)}.ts`)
  // A folder of modules: none is stable as a whole.
  // The first tag of a file is that of the module.
  return !existsSync(source) || /@stability (\w+)/.exec(readFileSync(source, "utf8"))?.[1] === "unstable"
}

/** Whether a declaration file shows an unstable module, itself or through what is internal to its package. */
const showsUnstable = (file: string, seen = new Set<string>()): boolean => {
  if (seen.has(file)) return false
  seen.add(file)
  return importsOf(readFileSync(file, "utf8"), file).some((specifier) => {
    if (!specifier.startsWith(".")) return isUnstable(specifier)
    const target = join(dirname(file), specifier.replace(/\.[jt]s$/, ".d.ts"))
    return target.includes("/internal/") && showsUnstable(target, seen)
  })
}

/** What the guide says wrongly; the packages are built. */
export const wrongStability = (): ReadonlyArray<string> => {
  const listed = new Set(readFileSync(join(root, guide), "utf8").match(/(?<=^\| `)@everbeat\/[\w-]+\/[A-Z]\w*/gm))
  return publicPackages.flatMap(({ entryPoints }) => entryPoints).flatMap(({ source, specifier }) => {
    if (source.endsWith("/index.ts") || specifier.includes("/testing")) return []
    const declarations = join(root, source.replace("/src/", "/dist/").replace(/\.ts$/, ".d.ts"))
    const unstable = showsUnstable(declarations)
    if (unstable === listed.has(specifier)) return []
    return [
      `${guide} ${unstable ? "lacks" : "lists"} ${specifier}, which shows ${
        unstable ? "" : "no "
      }unstable types of Effect`
    ]
  })
}
