/** The promises of the documentation: `expression // => value`. */
import { type Node, parse, walk } from "./syntax.ts"

/** Turns the comment of `expression // => value` into `$expect(expression).toEqual(value)`, without moving a line. */
export const withAssertions = (code: string, name: string): string => {
  const { comments, program } = parse(code, name)
  const statements: Array<Node> = []
  walk(program, (node) => {
    if (node.type === "ExpressionStatement" || node.type === "VariableDeclaration") statements.push(node)
  })
  const edits: Array<{ readonly at: number; readonly remove: number; readonly insert: string }> = []
  for (const comment of comments) {
    const expected = /^\s*=> (.+)$/s.exec(comment.value)?.[1]?.trim()
    if (comment.type !== "Line" || expected === undefined) continue
    const statement = statements.findLast(({ end }) =>
      end <= comment.start && /^[ \t;]*\n?[ \t]*$/.test(code.slice(end, comment.start))
    )
    if (statement === undefined) throw new SyntaxError(`${name}: nothing before "// => ${expected}" to compare with it`)
    edits.push({ at: comment.start, remove: comment.end - comment.start, insert: "" })
    if (statement.type === "ExpressionStatement") {
      const { end, start } = statement["expression"] as Node
      edits.push({ at: start, remove: 0, insert: "$expect(" }, { at: end, remove: 0, insert: `).toEqual(${expected})` })
    } else {
      const [declared] = statement["declarations"] as ReadonlyArray<{ readonly id: Node }>
      if (declared?.id.type !== "Identifier") {
        throw new SyntaxError(`${name}: "// => ${expected}" needs one plain variable`)
      }
      const variable = String(declared.id["name"])
      edits.push({ at: statement.end, remove: 0, insert: `; $expect(${variable}).toEqual(${expected})` })
    }
  }
  return edits
    .toSorted((a, b) => b.at - a.at)
    .reduce((out, { at, insert, remove }) => out.slice(0, at) + insert + out.slice(at + remove), code)
}
