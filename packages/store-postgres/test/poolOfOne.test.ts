import { CheckpointStoreTest, RunStoreTest } from "@everbeat/core/testing"
import { PostgresStore } from "@everbeat/store-postgres"
import { Effect, Layer } from "effect"
import { freshSchema, hostPool } from "./support/database.ts"

const layer = () =>
  Layer.unwrap(
    Effect.map(
      hostPool({ max: 1 }),
      (pool) => PostgresStore.layerFrom(pool, { schema: freshSchema(), prepare: false })
    )
  )

const options = { elapse: Effect.sleep }

CheckpointStoreTest.suite("postgres, one connection, unprepared", layer(), options)
RunStoreTest.suite("postgres, one connection, unprepared", layer(), options)
