/**
 * Writes the API reference, one page per public module, into `docs/api`:
 *
 *     npm run docs:api             writes it
 *     npm run docs:api -- --check  only checks that there is something to write
 *
 * It fails when an export of a public module has no description, or not one
 * `@category` and one `@since`.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import {
  Application,
  Comment,
  type CommentTag,
  type DeclarationReflection,
  ReflectionKind,
  type TypeDocOptions
} from "typedoc"
import type { PluginOptions } from "typedoc-plugin-markdown"
import { publicPackages, root } from "../scripts/packages.ts"

const modules = publicPackages.flatMap(({ entryPoints }) => entryPoints)
// A barrel only says again what its modules say.
const pages = modules.filter(({ source }) => !source.endsWith("/index.ts"))
/** The name under which a user imports a module, by the one that TypeDoc gives it. */
const nameOf = new Map(pages.map(({ source, specifier }) => [source.replace(/\.ts$/, ""), specifier]))

const options: TypeDocOptions & Partial<PluginOptions> = {
  name: "Everbeat",
  entryPoints: pages.map(({ source }) => join(root, source)),
  tsconfig: join(root, "docs/tsconfig.json"),
  basePath: root,
  plugin: ["typedoc-plugin-markdown"],
  out: join(root, "docs/api"),
  router: "module",
  readme: "none",
  excludeInternal: true,
  excludePrivate: true,
  disableSources: true,
  hideGenerator: true,
  // `npm run check` does that, with the TypeScript of the repository.
  skipErrorChecking: true,
  githubPages: false,
  navigation: { includeCategories: true },
  categorizeByGroup: false,
  logLevel: "Warn",
  validation: { invalidLink: true, notExported: false, notDocumented: false },
  // Of the Markdown.
  hideBreadcrumbs: true,
  useCodeBlocks: true,
  parametersFormat: "table",
  interfacePropertiesFormat: "table"
}

const app = await Application.bootstrapWithPlugins(options)
const project = await app.convert()
if (project === undefined) throw new Error("the sources could not be read")

/** The comment that a file begins with, without its tags: TypeDoc takes it for that of the module only with a tag of its own. */
const introduction = (file: string): string => {
  const [, comment = ""] = /^\/\*\*\n(.*?)\*\//s.exec(readFileSync(join(root, file), "utf8")) ?? []
  return comment.replaceAll(/^ \* ?/gm, "").replace(/^@.*/ms, "").trim()
}

for (const page of project.children ?? []) {
  const text = introduction(`${page.name}.ts`)
  if (text !== "") page.comment = new Comment([{ kind: "text", text }])
  page.name = nameOf.get(page.name) ?? page.name
}

const one = (tags: ReadonlyArray<CommentTag>, name: string): boolean =>
  tags.filter(({ tag }) => tag === name).length === 1

/** What an export lacks; an overload has the comment of its first signature. */
const lacks = (exported: DeclarationReflection): ReadonlyArray<string> => {
  const comments = [exported, ...(exported.signatures ?? [])].flatMap(({ comment }) => comment ?? [])
  if (exported.kindOf(ReflectionKind.Reference)) return []
  if (!comments.some(({ summary }) => summary.some(({ text }) => text.trim() !== ""))) return ["a description"]
  return ["@category", "@since"].filter((name) => !comments.some(({ blockTags }) => one(blockTags, name)))
}

const wrong = (project.children ?? []).flatMap((page) =>
  (page.children ?? []).flatMap((exported) =>
    lacks(exported).map((what) => `${page.name}: ${exported.name} lacks ${what}`)
  )
)
const missing = Array.from(nameOf.values()).filter((name) => !project.children?.some((page) => page.name === name))
for (const message of [...wrong, ...missing.map((name) => `${name}: nothing was read`)]) console.error(message)
if (wrong.length + missing.length > 0 || app.logger.hasErrors()) process.exitCode = 1

const exports = (project.children ?? []).reduce((sum, page) => sum + (page.children?.length ?? 0), 0)
console.log(`${exports} exports of ${nameOf.size} modules`)
if (!process.argv.includes("--check")) await app.generateOutputs(project)
