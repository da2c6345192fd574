import { describe } from "@effect/vitest"
import { MemoryStore } from "@everbeat/store-memory"
import { Layer } from "effect"
import { suite } from "../../../test/loops/suite.ts"
import { make, makeStreamed } from "./support.ts"

const points = ["unsent", "unanswered", "answered"] as const

describe("a loop of effect/ai", () => {
  suite("memory", () => Layer.fresh(MemoryStore.layer), make, { points })
})

describe("a streamed loop of effect/ai", () => {
  suite("memory", () => Layer.fresh(MemoryStore.layer), makeStreamed, { points: ["unanswered"] })
})
