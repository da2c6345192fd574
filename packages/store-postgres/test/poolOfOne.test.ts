import { CheckpointStoreTest, RunStoreTest } from "@everbeat/core/testing"
import { PostgresStore } from "@everbeat/store-postgres"
import { Effect, Layer } from "effect"
import { freshSchema, hostPool, kitOptions } from "./support/database.ts"

const layer = (schema: string) =>
  Layer.unwrap(
    Effect.map(
      hostPool({ max: 1 }),
      (pool) => PostgresStore.layerFrom(pool, { schema, prepare: false })
    )
  )

for (const { suite } of [CheckpointStoreTest, RunStoreTest]) {
  const schema = freshSchema()
  suite("postgres, one connection, unprepared", layer(schema), kitOptions(schema))
}
