/**
 * What the scripts share. KEYS[1] is the base of a partition, `{prefix:NN}`;
 * every other key begins with it and so is in the same slot. Times are
 * milliseconds, by the clock of Redis.
 *
 * | key             | type   | holds                                                    |
 * | --------------- | ------ | -------------------------------------------------------- |
 * | `run:<id>`      | hash   | a run: its head while in flight, its record afterwards   |
 * | `rows:<id>`     | list   | the rows of a run in flight                              |
 * | `due`, `spent`  | zset   | runs in flight by the end of their lease; exhausted ones |
 * | `guards`        | hash   | the exclusive run in flight of each agent                |
 * | `key:<agent> …` | string | the run of an idempotency key                            |
 * | `runs`          | zset   | every run, in the order of the ids                       |
 * | `agent:<name>`  | zset   | the runs of an agent, likewise                           |
 * | `caller:<id>`   | zset   | the runs of a caller, likewise                           |
 * | `done:<name>`   | zset   | the settled runs of an agent, likewise                   |
 * | `agents`        | set    | agents with settled runs                                 |
 * | `settled`       | zset   | settled runs without a key, by the time of settling      |
 * | `held`          | zset   | settled runs with a key, likewise                        |
 */
export interface Script {
  readonly name: string
  readonly lua: string
}

export const script = (name: string, ...parts: ReadonlyArray<string>): Script => ({ name, lua: parts.join("\n") })

export const base = `
local B = KEYS[1]
local T = redis.call('TIME')
local micros = T[1] * 1000000 + T[2]
local now = math.floor(micros / 1000)
-- A number as text: Lua itself would write a large one with an exponent.
local function int(x) return string.format('%.0f', x) end
-- A number that a run in flight must have: without it something else goes on.
local function num(x, otherwise) return tonumber(x) or otherwise end
local function K(id) return B .. ':run:' .. id end
local function R(id) return B .. ':rows:' .. id end
`

/** Puts a run in flight where its lease belongs. */
export const place = `
local function isSpent(n, max, stalled) return num(n, 1) >= num(max, 0) or num(stalled, 2) >= 2 end
local function place(id, lease, spent)
  redis.call('ZADD', B .. (spent and ':spent' or ':due'), int(lease), id)
  redis.call('ZREM', B .. (spent and ':due' or ':spent'), id)
end
`

/**
 * Why a lease may not write. `h` begins with the fence, the owner, and the mark of a release: a released lease is gone
 * for good, so that a save or a renewal that was under way does not bring it back.
 */
export const held = `
local function refusal(h, owner, fence)
  if not h[1] then return 'gone' end
  if h[1] ~= fence or h[2] ~= owner or h[3] then return 'fenced' end
end
`

/**
 * Hands an interrupted run to a new owner, and tells whether it was exhausted.
 *
 * The name of the call is kept with what it did: a client that lost its
 * connection may send a script again that had run, and gets the same answer.
 */
export const take = `
local function take(id, owner, ttl, call)
  local k = K(id)
  local h = redis.call('HMGET', k, 'n', 'max', 'stalled', 'lease', 'released', 'fence')
  local n, stalled = num(h[1], 1), num(h[3], 1)
  local spent = isSpent(n, h[2], stalled)
  local fence = int(math.max(num(h[6], 0) + 1, micros))
  local m = n + 1
  local set = { 'HSET', k, 'n', m, 'stalled', stalled + 1, 'owner', owner, 'fence', fence, 'lease', int(now + ttl),
    'o' .. m, owner, 'f' .. m, fence, 's' .. m, int(now), 'call', call, 'cs', spent and '1' or '0' }
  -- Closed already: a claim after it was given back unstarted.
  local closed = redis.call('HEXISTS', k, 'k' .. n) == 1
  local function add(name, value)
    set[#set + 1] = name .. n
    set[#set + 1] = value
  end
  if not closed then
    -- The clock may have been set back during the attempt.
    add('e', int(math.max(num(h[4], now), num(redis.call('HGET', k, 's' .. n), 0))))
    add('k', h[5] and 'released' or 'expired')
    if h[5] and h[5] ~= '' then add('r', h[5]) end
  end
  redis.call(unpack(set))
  redis.call('HDEL', k, 'released')
  place(id, now + ttl, isSpent(m, h[2], stalled + 1))
  return spent and 1 or 0
end
`

/** Reads a head: its fields, and six of each attempt. */
export const head = `
local maxAttempts = 10000
local function head(id)
  local k = K(id)
  local h = redis.call('HMGET', k, 'meta', 'n', 'max', 'stalled', 'lease', 'cancel', 'start', 'upd', 'iter', 'phase',
    'phases', 'key', 'print', 'fence', 'agent', 'kind', 'def', 'hash', 'caller', 'channel', 'parent')
  local attempts = {}
  -- Nobody else's script runs meanwhile: what the hash claims must not keep Redis busy.
  for i = 1, math.min(num(h[2], 0), maxAttempts) do
    attempts[i] = redis.call('HMGET', k, 'o' .. i, 'f' .. i, 's' .. i, 'e' .. i, 'k' .. i, 'r' .. i)
  end
  return { h, attempts }
end
`

/** Reads a whole checkpoint. Of one that is damaged, answers what is wrong: the run is claimed all the same. */
export const checkpoint = `
local function whole(id)
  local h = head(id)
  local v = redis.call('HMGET', K(id), 'segs', 'notes', 'ws')
  local count = redis.call('LLEN', R(id))
  local rows = {}
  for from, to in string.gmatch(v[1] or '', '(%d+),(%d+)') do
    if tonumber(to) > count then return 'rows of its history are missing' end
    rows[#rows + 1] = tonumber(to) > tonumber(from) and redis.call('LRANGE', R(id), from, tonumber(to) - 1) or {}
  end
  return { int(now), h, count, v[1], v[2], v[3], rows }
end
local function checkpoint(id)
  local ok, answer = pcall(whole, id)
  return ok and answer or 'its keys cannot be read'
end
`

/** Takes runs out of the keys that name them. */
export const forget = `
local function member(id, agent, caller) return id .. ' ' .. agent .. ' ' .. (caller and '+' .. caller or '') end
local function unindex(id, agent, caller)
  redis.call('ZREM', B .. ':runs', id)
  redis.call('ZREM', B .. ':agent:' .. agent, id)
  if caller then redis.call('ZREM', B .. ':caller:' .. caller, id) end
  if redis.call('ZREM', B .. ':done:' .. agent, id) == 1 and redis.call('EXISTS', B .. ':done:' .. agent) == 0 then
    redis.call('SREM', B .. ':agents', agent)
  end
end
local function unkey(id, agent, key)
  local k = key and B .. ':key:' .. agent .. ' ' .. key
  if k and redis.call('GET', k) == id then redis.call('UNLINK', k) end
end
local function land(id, agent)
  redis.call('UNLINK', K(id), R(id))
  redis.call('ZREM', B .. ':due', id)
  redis.call('ZREM', B .. ':spent', id)
  if redis.call('HGET', B .. ':guards', agent) == id then redis.call('HDEL', B .. ':guards', agent) end
end
local function dropHead(id)
  local v = redis.pcall('HMGET', K(id), 'agent', 'caller', 'key')
  local agent = v[1] or ''
  land(id, agent)
  unindex(id, agent, v[2])
  unkey(id, agent, v[3])
end
-- Removes a settled run; m is its member in the sets by time, which outlives a record with a life of its own.
local function dropRun(id, m)
  local v = redis.call('HMGET', K(id), 'agent', 'caller', 'key')
  local agent, caller, existed = v[1], v[2], v[1] and 1 or 0
  if not agent then
    agent, caller = string.match(m or '', '^%S+ (%S+) (.*)$')
    if not agent then return 0 end
    caller = caller ~= '' and string.sub(caller, 2) or false
  end
  redis.call('UNLINK', K(id))
  unindex(id, agent, caller)
  unkey(id, agent, v[3])
  m = m or member(id, agent, caller)
  redis.call('ZREM', B .. ':settled', m)
  redis.call('ZREM', B .. ':held', m)
  return existed
end
`
