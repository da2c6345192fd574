import { assert, describe, it } from "@effect/vitest"
import { CheckpointStore } from "@everbeat/core"
import { PostgresStore } from "@everbeat/store-postgres"
import { Effect } from "effect"
import { Client, type ClientConfig } from "pg"
import { freshSchema, url } from "./support/database.ts"

describe("a pool of the store's own", () => {
  it.live("does not end the process when the server closes a connection after the layer has closed", () =>
    Effect.gen(function*() {
      const clients: Array<Client> = []
      class Known extends Client {
        constructor(config?: string | ClientConfig) {
          super(config)
          clients.push(this)
        }
      }
      yield* Effect.provide(
        Effect.flatMap(CheckpointStore.CheckpointStore, (store) => store.listInterrupted()),
        PostgresStore.layer({ url: url(), schema: freshSchema(), pool: { Client: Known } })
      )
      assert.isAbove(clients.length, 0)
      // Without a listener this throws, as it would from the socket.
      for (const client of clients) client.emit("error", new Error("terminating connection"))
    }))
})
