/**
 * The schema as a list of migrations. Each is idempotent and leaves the code
 * of the version before working: columns and tables are added with defaults,
 * and dropped one release after nobody reads them.
 */
import { StoreError } from "@everbeat/core/StoreError"
import * as Effect from "effect/Effect"
import * as Sql from "./sql.ts"

interface Migration {
  readonly version: number
  /** The oldest version of the code that works on the schema after this migration. */
  readonly oldest: number
  readonly sql: string
}

/**
 * Rows have no foreign key to their run: measured, it makes a save of 100 rows
 * 1.4 times as slow (0.87 ms for 0.62), since each row looks its run up and
 * locks it. What it would guarantee holds without it: rows are inserted by the
 * statement that updates their run, and deleted by the one that ends it.
 *
 * Messages are text: JSONB refuses NUL and lone surrogates, and what is sealed
 * is no JSON.
 */
const first = (tables: Sql.Tables): string => {
  const { row, run } = tables
  return `create table if not exists ${run} (
  run_id uuid primary key,
  fence bigint not null default 1,
  iteration bigint not null default 0,
  lease_until timestamptz(3) not null,
  due timestamptz(3),
  started_at timestamptz(3) not null,
  updated_at timestamptz(3) not null,
  attempt_at timestamptz(3) not null,
  settled_at timestamptz(3),
  next_row integer not null default 0,
  attempt integer not null default 1,
  max_attempts integer not null,
  stalled integer not null default 1,
  cancel_requested boolean not null default false,
  exclusive boolean not null,
  owner text collate "C" not null,
  segments text not null default '[]',
  phase text not null default '',
  completed text not null default '[]',
  released text,
  status text collate "C",
  kind text collate "C" not null,
  agent_name text collate "C" not null,
  definition text collate "C" not null,
  definition_hash text collate "C" not null,
  caller_id text collate "C",
  channel_id text collate "C",
  parent_run_id uuid,
  key text collate "C",
  fingerprint text collate "C",
  past text not null default '',
  meta text not null,
  notes text,
  workspace text,
  record text
) with (fillfactor = 70, toast_tuple_target = 256,
  autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
create table if not exists ${row} (
  run_id uuid not null,
  row_no integer not null,
  body text not null,
  primary key (run_id, row_no)
);
create unique index if not exists run_key on ${run} (agent_name, key) where key is not null;
create unique index if not exists run_exclusive on ${run} (agent_name) where exclusive and settled_at is null;
create index if not exists run_due on ${run} (due, run_id) where settled_at is null;
create index if not exists run_agent on ${run} (agent_name, run_id);
create index if not exists run_caller on ${run} (left(caller_id, 128), run_id) where caller_id is not null;`
}

const migrations = (tables: Sql.Tables): ReadonlyArray<Migration> => [
  { version: 1, oldest: 1, sql: first(tables) }
]

export const version = 1

const literal = (text: string): string =>
  `${text.includes("\\") ? " E" : ""}'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`

const maxBytes = 63

/** PostgreSQL cuts a longer name off: two schemas would be one. */
export const checkName = (schema: string): Effect.Effect<void, StoreError> => {
  const bytes = new TextEncoder().encode(schema).length
  return bytes > 0 && bytes <= maxBytes && !schema.includes("\0") ? Effect.void : Effect.fail(
    new StoreError({
      operation: "migrate",
      reason: "refused",
      detail: `the name of the schema must have 1 to ${maxBytes} bytes and no NUL; it has ${bytes}: ${
        JSON.stringify(schema)
      }`
    })
  )
}

/** All statements of one migration run. They are one transaction when sent as one text. */
export const script = (schema: string, from: number, options: { readonly createSchema: boolean }): string => {
  const tables = Sql.tables(schema)
  return [
    `select set_config('lock_timeout', '5s', true);`,
    `select set_config('client_min_messages', 'warning', true);`,
    `select pg_advisory_xact_lock(hashtextextended(${literal(`everbeat migration of ${schema}`)}, 0));`,
    // A session that looked for the schema remembers that it is missing, and an advisory lock does not make it look
    // again at what was committed while it waited. Reading a table does.
    `select from pg_namespace limit 0;`,
    ...(options.createSchema ? [`create schema if not exists ${tables.schema};`] : []),
    `create table if not exists ${tables.migration} (
  version integer primary key,
  oldest integer not null,
  applied_at timestamptz not null default clock_timestamp()
);`,
    ...migrations(tables).filter(({ version }) => version > from).flatMap(({ oldest, sql, version }) => [
      sql,
      `insert into ${tables.migration} (version, oldest) values (${version}, ${oldest}) on conflict do nothing;`
    ])
  ].join("\n")
}
