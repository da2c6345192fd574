import { CheckpointStoreTest, RunStoreTest } from "@everbeat/core/testing"
import { RedisStore } from "@everbeat/store-redis"
import { kitOptions } from "./kitOptions.ts"
import { onCluster, onServer } from "./support.ts"

for (const { suite } of [CheckpointStoreTest, RunStoreTest]) {
  for (const [name, options] of [["redis", onServer("kit")], ["redis cluster", onCluster("kit")]] as const) {
    suite(name, RedisStore.layer(options), kitOptions(options))
  }
}
