import { describe, expect, it } from "vitest"
import { importsOf } from "../scripts/syntax.ts"
import { reaches, violations } from "./support/importRules.ts"
import { filesOf, textOf } from "./support/workspace.ts"

const core = "packages/core/src/Run.ts"
const kit = "packages/core/src/testing/RunTest.ts"
const memory = "packages/store-memory/src/MemoryStore.ts"
const redis = "packages/store-redis/src/RedisStore.ts"
const effectAi = "packages/adapter-effect-ai/src/EffectAi.ts"
const http = "packages/http/src/Server.ts"

const wrong: ReadonlyArray<readonly [why: string, file: string, code: string]> = [
  ["core imports a store", core, `import * as MemoryStore from "@everbeat/store-memory/MemoryStore"`],
  ["core imports http", core, `export type { Api } from "@everbeat/http/Api"`],
  ["core imports a builtin of Node.js", core, `import { readFileSync } from "node:fs"`],
  ["core imports a platform", core, `import * as NodeRuntime from "@effect/platform-node/NodeRuntime"`],
  ["a store imports another store", memory, `import { RedisStore } from "@everbeat/store-redis/RedisStore"`],
  ["a store imports http", memory, `export * from "@everbeat/http/Api"`],
  ["a store imports a workspace", redis, `const git = await import("@everbeat/workspace-git/GitWorkspace")`],
  ["a store imports the driver of another one", redis, `import { Pool } from "pg"`],
  ["http imports a store", http, `type Memory = import("@everbeat/store-memory/MemoryStore").Options`],
  [
    "an adapter of a loop imports a store",
    effectAi,
    `import { MemoryStore } from "@everbeat/store-memory/MemoryStore"`
  ],
  ["an adapter imports the framework of another one", effectAi, `import { Agent } from "@openai/agents"`],
  ["a package imports an example", http, `import { Dispatch } from "@everbeat/example-dispatch/Dispatch"`],
  ["a package imports the chaos harness", http, `import { check } from "../../../chaos/checker.ts"`],
  ["a package leaves its sources", core, `import { thing } from "../../../examples/dispatch/src/Forge.ts"`],
  ["a package reads the sources of another one", http, `import { Step } from "../../core/src/Step.ts"`],
  ["production code imports the kit", core, `import { suite } from "./testing/RunTest.ts"`],
  ["production code imports the kit by name", memory, `import { RunTest } from "@everbeat/core/testing"`],
  ["production code imports a test runner", core, `import { it } from "@effect/vitest"`],
  ["internals of another package are imported", memory, `import { engine } from "@everbeat/core/internal/engine"`],
  ["the barrel of effect is imported", core, `import { Effect } from "effect"`],
  ["the barrel of core is imported", http, `import type { Step } from "@everbeat/core"`],
  ["the own barrel is imported", core, `import { Step } from "./index.ts"`],
  ["require is used", core, `const pg = require("pg")`],
  ["import equals is used", core, `import pg = require("pg")`]
]

const right: ReadonlyArray<readonly [why: string, file: string, code: string]> = [
  ["modules of effect", core, `import * as Effect from "effect/Effect"\nimport type { Step } from "./Step.ts"`],
  ["own internals", core, `import * as Engine from "./internal/engine.ts"`],
  ["a test runner in the kit", kit, `import { it } from "@effect/vitest"\nimport { RunStore } from "../RunStore.ts"`],
  ["core in a store", memory, `import { RunStore } from "@everbeat/core/RunStore"`],
  ["the own driver of a store", redis, `import type { Redis } from "ioredis"`],
  ["an import that is only text", core, `const text = \`import x from "pg"\` // import y from "pg"`]
]

describe("the import rules", () => {
  it.for(wrong)("refuse that %s", ([, file, code]) => {
    expect(violations(file, code)).toHaveLength(1)
  })

  it.for(right)("allow %s", ([, file, code]) => {
    expect(violations(file, code)).toEqual([])
  })

  it("refuse tests that reach into other packages, and packages that reach into examples", () => {
    const test = "packages/http/test/Server.test.ts"
    expect(reaches(test, `import "../../core/src/internal/engine.ts"`)).toHaveLength(1)
    expect(reaches(test, `import "@everbeat/core/internal/engine"`)).toHaveLength(1)
    expect(reaches(test, `import "../../../examples/dispatch/src/Forge.ts"`)).toHaveLength(1)
    expect(reaches(test, `import "../src/internal/routes.ts"`)).toEqual([])
    expect(reaches(test, `import "../../../chaos/checker.ts"`)).toHaveLength(1)
    expect(reaches("chaos/worker.ts", `import "../packages/core/src/Step.ts"`)).toHaveLength(1)
    expect(reaches("examples/dispatch/src/Forge.ts", `import "../../../packages/core/src/Step.ts"`)).toHaveLength(1)
  })

  it("see every way to import", () => {
    const code = `
      import "a"
      import type { B } from "b"
      export { c } from "c"
      export * as d from "d"
      const e = await import("e")
      type F = import("f").F
      import g = require("g")
      const h = require("h")
      const not = 'import "i"' // import "j"
    `
    expect(importsOf(code, "file.ts")).toEqual(["a", "b", "c", "d", "e", "f", "g", "h"])
  })

  it("hold in the sources of every package", () => {
    const files = filesOf("packages/*/src/**/*.ts")
    expect(files.length).toBeGreaterThan(20)
    expect(files.flatMap((file) => violations(file, textOf(file)))).toEqual([])
  })

  it("hold in tests and examples", () => {
    const files = filesOf("packages/*/{test,typetest}/**/*.ts", "examples/**/*.ts", "chaos/**/*.ts")
    expect(files.flatMap((file) => reaches(file, textOf(file)))).toEqual([])
  })
})
