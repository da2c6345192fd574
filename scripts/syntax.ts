/**
 * The little that the scripts and the repository tests need to know about the
 * syntax of a module.
 */
import { parseSync } from "vite"

/** A node of the ESTree that the parser gives. */
export interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

/** A comment, without its marks. */
export interface Comment {
  readonly type: "Line" | "Block"
  readonly value: string
  readonly start: number
  readonly end: number
}

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && "type" in value && typeof value.type === "string" && "start" in value

/** Parses a TypeScript module, or throws with the first syntax error. */
export const parse = (
  code: string,
  file: string
): { readonly comments: ReadonlyArray<Comment>; readonly program: Node } => {
  const { comments, errors, program } = parseSync(file, code, { lang: "ts" })
  const [error] = errors
  if (error !== undefined) throw new SyntaxError(`${file}: ${error.message}`)
  return { comments, program: program as unknown as Node }
}

/** Calls `visit` with a node and everything below it. */
export const walk = (node: Node, visit: (node: Node) => void): void => {
  visit(node)
  for (const field of Object.values(node)) {
    for (const child of Array.isArray(field) ? field : [field]) if (isNode(child)) walk(child, visit)
  }
}

/** Module names that a module imports: statically, dynamically, as a type, or by exporting from them. */
export const importsOf = (code: string, file: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  const add = (value: unknown) => {
    if (isNode(value) && value.type === "Literal" && typeof value["value"] === "string") found.push(value["value"])
  }
  walk(parse(code, file).program, (node) => {
    switch (node.type) {
      case "ImportDeclaration":
      case "ExportNamedDeclaration":
      case "ExportAllDeclaration":
      case "ImportExpression":
      case "TSImportType": {
        return add(node["source"] ?? node["argument"])
      }
      case "TSExternalModuleReference": {
        return add(node["expression"])
      }
      case "CallExpression": {
        const { arguments: args, callee } = node
        if (isNode(callee) && callee.type === "Identifier" && callee["name"] === "require" && Array.isArray(args)) {
          add(args[0])
        }
      }
    }
  })
  return found
}
