import { describe, expect, it } from "vitest"
import { filesOf, textOf } from "./support/workspace.ts"

interface Manifest {
  readonly name: string
  readonly sideEffects?: unknown
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

const manifests = filesOf("packages/*/package.json").map((file): Manifest => JSON.parse(textOf(file)))

describe("the manifest", () => {
  it("is there for every package", () => {
    expect(manifests.length).toBeGreaterThan(4)
  })

  it.for(manifests)("of $name takes the host's copy of effect, and brings no framework", (manifest) => {
    // A second copy has other classes: services and errors of one are unknown to the other.
    expect(manifest.peerDependencies).toHaveProperty("effect")
    expect(manifest.peerDependencies?.["effect"]).toMatch(/^\^4\./)
    expect(manifest.dependencies ?? {}).not.toHaveProperty("effect")
    // A server of one framework is nothing for the hosts of another, and some change globals.
    const frameworks = /express|fastify|hono|next|nest|koa|undici|whatwg/
    expect(Object.keys(manifest.dependencies ?? {}).filter((name) => frameworks.test(name))).toEqual([])
    expect(manifest.sideEffects).toEqual([])
  })
})
