/** What is in the tables and the keys, read without any code of the stores. */
import { setTimeout as sleep } from "node:timers/promises"
import { Pool, Redis } from "./drivers.ts"
import { space, type StoreName } from "./messages.ts"

/** One run as it is stored. */
export interface Stored {
  readonly run: string
  readonly state: "in flight" | "exhausted" | "settled"
  readonly fence: number
  readonly position: number
  readonly iteration: number
  readonly status: string | undefined
  /** When each step of a settled run began, as the record has it. */
  readonly steps: ReadonlyMap<string, string>
  /** What a settled run should have left nowhere. */
  readonly residue: ReadonlyArray<string>
}

export interface Contents {
  readonly runs: ReadonlyArray<Stored>
  /** What belongs to no run in flight. */
  readonly strays: ReadonlyArray<string>
}

export interface Reader {
  readonly read: () => Promise<Contents>
  readonly close: () => Promise<void>
}

/** A server that has stopped to answer must not stop the check. */
const answerMillis = 30_000

const stepsOf = (record: string | null | undefined): ReadonlyMap<string, string> => {
  if (record === null || record === undefined) return new Map()
  const parsed = JSON.parse(record) as { readonly steps?: ReadonlyArray<Record<string, unknown>> }
  return new Map((parsed.steps ?? []).map((step) => [String(step["name"]), String(step["startedAt"])]))
}

interface Head {
  readonly run_id: string
  readonly fence: string
  readonly next_row: number
  readonly iteration: string
  readonly status: string | null
  readonly record: string | null
  readonly settled: boolean
  readonly spent: boolean
  readonly kept: boolean
  readonly rows: number
}

const postgres = (url: string): Reader => {
  const pool = new Pool({
    connectionString: url,
    max: 1,
    connectionTimeoutMillis: answerMillis,
    query_timeout: answerMillis
  })
  pool.on("error", () => {})
  const read = async (): Promise<Contents> => {
    const heads = await pool.query<Head>(
      `select r.run_id, r.fence, r.next_row, r.iteration, r.status, r.record, r.settled_at is not null as settled,
        (r.attempt >= r.max_attempts or r.stalled >= 2) and r.lease_until < clock_timestamp() as spent,
        r.due is not null or r.segments <> '[]' or r.notes is not null or r.workspace is not null as kept,
        (select count(*)::int from ${space}.run_row w where w.run_id = r.run_id) as rows
      from ${space}.run r`
    )
    const strays = await pool.query<{ readonly run_id: string; readonly rows: number }>(
      `select w.run_id, count(*)::int as rows from ${space}.run_row w
        where not exists (select from ${space}.run r where r.run_id = w.run_id) group by w.run_id`
    )
    return {
      runs: heads.rows.map((head) => ({
        run: head.run_id,
        state: head.settled ? "settled" : head.spent ? "exhausted" : "in flight",
        fence: Number(head.fence),
        position: head.next_row,
        iteration: Number(head.iteration),
        status: head.status ?? undefined,
        steps: stepsOf(head.record),
        residue: head.settled
          ? [...head.rows > 0 ? [`${head.rows} rows`] : [], ...head.kept ? ["parts of its head"] : []]
          : []
      })),
      strays: strays.rows.map(({ rows, run_id }) => `${rows} rows of ${run_id}`)
    }
  }
  return { read, close: () => pool.end() }
}

const redis = (url: string): Reader => {
  const client = new Redis(url, { commandTimeout: answerMillis })
  client.on("error", () => {})
  const read = async (): Promise<Contents> => {
    const keys = await client.keys(`{${space}:*`)
    const split = (kind: string) =>
      new Map(keys.flatMap((key) => {
        const [base = "", name = "", id = ""] = /^(\{[^}]*\}):([a-z]+)(?::(.*))?$/.exec(key)?.slice(1) ?? []
        return name === kind ? [[id === "" ? base : id, { base, key }] as const] : []
      }))
    const all = async <A>(kind: string, each: (key: string) => Promise<A>) =>
      Promise.all(Array.from(split(kind).values(), ({ key }) => each(key)))
    const due = new Set((await all("due", (key) => client.zrange(key, "0", "-1"))).flat())
    const [now = 0] = await client.time()
    // Those whose lease has ended.
    const ended = (key: string) => client.zrangebyscore(key, "-inf", now * 1000)
    const spent = new Set((await all("spent", ended)).flat())
    const guarded = new Set((await all("guards", (key) => client.hvals(key))).flat())
    const rows = new Map(
      await Promise.all(
        Array.from(split("rows"), async ([id, { key }]) => [id, await client.llen(key)] as const)
      )
    )
    const heads = await Promise.all(
      Array.from(split("run"), async ([run, { key }]) => [run, await client.hgetall(key)] as const)
    )
    const known = new Set(heads.map(([run]) => run))
    return {
      runs: heads.map(([run, head]) => {
        const settled = head["record"] !== undefined
        return {
          run,
          state: settled ? "settled" : spent.has(run) ? "exhausted" : "in flight",
          fence: Number(head["fence"] ?? 0),
          position: rows.get(run) ?? 0,
          iteration: Number(head["iter"] ?? 0),
          status: head["status"],
          steps: stepsOf(head["record"]),
          residue: settled
            ? [
              ...rows.has(run) ? [`${rows.get(run)} rows`] : [],
              ...["fence", "lease", "owner", "segs", "notes"].filter((field) => head[field] !== undefined),
              ...due.has(run) ? ["a place among those due"] : [],
              ...spent.has(run) ? ["a place among those exhausted"] : [],
              ...guarded.has(run) ? ["the guard of its agent"] : []
            ]
            : []
        } as const
      }),
      strays: [
        ...Array.from(rows.keys()).filter((id) => !known.has(id)).map((id) => `rows of ${id}`),
        ...[...due, ...spent, ...guarded].filter((id) => !known.has(id)).map((id) => `places of ${id}`)
      ]
    }
  }
  return { read, close: async () => client.disconnect() }
}

const patienceMillis = 60_000

/** A server that was restarted takes connections before it is ready for them. */
const patiently = async <A>(read: () => Promise<A>, until = performance.now() + patienceMillis): Promise<A> => {
  try {
    return await read()
  } catch (cause) {
    if (performance.now() > until) throw cause
    await sleep(500)
    return patiently(read, until)
  }
}

export const openReader = (store: StoreName, url: string): Reader => {
  const { close, read } = (store === "postgres" ? postgres : redis)(url)
  return { read: () => patiently(read), close }
}
