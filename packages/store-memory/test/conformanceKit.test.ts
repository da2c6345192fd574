import { assert, describe, it } from "@effect/vitest"
import { CheckpointStoreTest, type Conformance, RunStoreTest } from "@everbeat/core/testing"
import { MemoryStore } from "@everbeat/store-memory"
import { Effect, Exit, Layer } from "effect"
import { mutants } from "./mutants.ts"

const cases: ReadonlyArray<Conformance.Case> = [...CheckpointStoreTest.cases, ...RunStoreTest.cases]

describe("the conformance kit", () => {
  for (const [what, layer, noticed] of mutants) {
    it.effect(`notices a store that ${what}`, () =>
      Effect.gen(function*() {
        const found = cases.filter(({ name }) => name === noticed)
        assert.lengthOf(found, 1)
        for (const { effect } of found) {
          const sound = yield* Effect.exit(Effect.provide(effect, Layer.fresh(MemoryStore.layer)))
          const exit = yield* Effect.exit(Effect.provide(effect, layer))

          assert.isTrue(Exit.isSuccess(sound), "the case passes on a sound store")
          assert.isTrue(Exit.isFailure(exit), "the case fails on the broken one")
        }
      }))
  }

  it("gives every case of a kit a name of its own", () => {
    for (const kit of [CheckpointStoreTest.cases, RunStoreTest.cases]) {
      assert.strictEqual(new Set(kit.map(({ name }) => name)).size, kit.length)
    }
  })
})
