import { CheckpointStoreTest, RunStoreTest } from "@everbeat/core/testing"
import { PostgresStore } from "@everbeat/store-postgres"
import { freshSchema, kitOptions, url } from "./support/database.ts"

for (const { suite } of [CheckpointStoreTest, RunStoreTest]) {
  const schema = freshSchema()
  suite("postgres", PostgresStore.layer({ url: url(), schema }), kitOptions(schema))
}
