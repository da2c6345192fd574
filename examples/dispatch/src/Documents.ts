/** Documents of Dispatch's state in databases: one table, or one hash. */
import type { Redis } from "ioredis"
import type { Pool } from "pg"
import type { Documents } from "./State.ts"

/** In the table `dispatch_state`, which is created when it is missing. */
export const postgres = async (pool: Pool): Promise<Documents> => {
  const { rows: [found] } = await pool.query<{ exists: boolean }>(
    "select to_regclass('dispatch_state') is not null as exists"
  )
  // One text is one transaction. The lock is for hosts that start at the same time.
  if (found?.exists !== true) {
    await pool.query(`
      select pg_advisory_xact_lock(hashtext('dispatch_state'));
      create table if not exists dispatch_state (key text primary key, version text not null, value text not null)
    `)
  }
  return {
    read: async (name) => {
      const { rows: [row] } = await pool.query<{ version: string; value: string }>(
        "select version, value from dispatch_state where key = $1",
        [name]
      )
      return row && { version: row.version, text: row.value }
    },
    replace: async (name, read, { text, version }) => {
      const { rowCount } = read === undefined
        ? await pool.query(
          "insert into dispatch_state (key, version, value) values ($1, $2, $3) on conflict (key) do nothing",
          [name, version, text]
        )
        : await pool.query(
          "update dispatch_state set version = $3, value = $4 where key = $1 and version = $2",
          [name, read, version, text]
        )
      return rowCount === 1
    }
  }
}

/** In the hash `dispatch:state`: each document in two fields, its text and its version. */
export const redis = (client: Redis): Documents => ({
  read: async (name) => {
    const [text, version] = await client.hmget(key, name, versionOf(name))
    return typeof text === "string" && typeof version === "string" ? { version, text } : undefined
  },
  replace: async (name, read, { text, version }) =>
    await client.eval(replaceScript, 1, key, name, versionOf(name), read ?? "", version, text) === 1
})

// internal

const key = "dispatch:state"

const versionOf = (name: string): string => `${name}:version`

// The client sends a command again whose answer was lost with the connection: a version that is there was written by it.
const replaceScript = `
local found = redis.call("HGET", KEYS[1], ARGV[2]) or ""
if found == ARGV[4] then return 1 end
if found ~= ARGV[3] then return 0 end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[5], ARGV[2], ARGV[4])
return 1`
