import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { defaultServerConditions } from "vite"
import { defineConfig } from "vitest/config"

const root = import.meta.dirname

/** The set-up of a project whose tests talk to real servers. */
const servers = (folder: string, name: string): Array<string> => {
  const file = join(root, folder, name, "test/globalSetup.ts")
  return existsSync(file) ? [file] : []
}

const projectsIn = (folder: string) =>
  readdirSync(join(root, folder))
    .filter((name) => existsSync(join(root, folder, name, "package.json")))
    .map((name) => ({
      extends: true as const,
      root: join(root, folder, name),
      test: {
        name,
        include: ["test/**/*.test.ts"],
        // A project that needs servers starts them itself.
        globalSetup: servers(folder, name)
      }
    }))

const projects = [
  ...projectsIn("packages"),
  ...projectsIn("examples"),
  {
    extends: true as const,
    root: join(root, "chaos"),
    test: { name: "chaos", include: ["test/**/*.test.ts"] }
  },
  { extends: true as const, root, test: { name: "repository", include: ["test/**/*.test.ts"] } }
]

// What `npm run docs:check` extracted from the documentation: never part of `npm test`, where it could be stale.
const snippets = {
  extends: true as const,
  root,
  test: { name: "snippets", include: [".snippets/**/*.test.ts"], exclude: ["**/node_modules/**"] }
}

export default defineConfig({
  // Tests run against the TypeScript sources of the workspace: no build step.
  ssr: { resolve: { conditions: ["@everbeat/source", ...defaultServerConditions] } },
  test: {
    // Generous, for machines that are busy with something else: a test that needs less says so itself.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Advice about speed would be printed after the summary, which is to be the last thing.
    experimental: { diagnostics: false },
    projects: process.env["EVERBEAT_SNIPPETS"] === "1" ? [snippets] : projects
  }
})
