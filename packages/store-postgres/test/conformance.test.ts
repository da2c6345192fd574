import { CheckpointStoreTest, RunStoreTest } from "@everbeat/core/testing"
import { PostgresStore } from "@everbeat/store-postgres"
import { Effect } from "effect"
import { freshSchema, url } from "./support/database.ts"

const options = { elapse: Effect.sleep }

CheckpointStoreTest.suite("postgres", PostgresStore.layer({ url: url(), schema: freshSchema() }), options)
RunStoreTest.suite("postgres", PostgresStore.layer({ url: url(), schema: freshSchema() }), options)
