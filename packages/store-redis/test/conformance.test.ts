import { CheckpointStoreTest, RunStoreTest } from "@everbeat/core/testing"
import { RedisStore } from "@everbeat/store-redis"
import { Effect } from "effect"
import { onCluster, onServer } from "./support.ts"

const alone = RedisStore.layer(onServer("kit"))
const cluster = RedisStore.layer(onCluster("kit"))

const options = { elapse: Effect.sleep }

CheckpointStoreTest.suite("redis", alone, options)
RunStoreTest.suite("redis", alone, options)
CheckpointStoreTest.suite("redis cluster", cluster, options)
RunStoreTest.suite("redis cluster", cluster, options)
