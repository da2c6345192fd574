import * as Shared from "./shared.ts"

/** ARGV: id. */
export const load = Shared.script(
  "load",
  Shared.base,
  Shared.head,
  Shared.checkpoint,
  `
if redis.call('HEXISTS', K(ARGV[1]), 'fence') == 0 then return false end
return checkpoint(ARGV[1])
`
)

/** Reads runs, settled or in flight, without what only their owners need. ARGV: ids. */
export const read = Shared.script(
  "read",
  Shared.base,
  Shared.head,
  `
local function read(id)
  local v = redis.call('HMGET', K(id), 'fence', 'record', 'key', 'print')
  if v[1] then return { 'head', head(id) } end
  return v[2] and { 'record', v[2], v[3], v[4] }
end
local runs = {}
for i, id in ipairs(ARGV) do
  local ok, run = pcall(read, id)
  runs[i] = not ok and 'its key cannot be read' or run or false
end
return { int(now), runs }
`
)

/**
 * Looks for runs of a list, newest first. ARGV: index, id below which to look, how many to find, how many to look at,
 * then filters and their values.
 */
export const scanRuns = Shared.script(
  "list",
  Shared.base,
  Shared.place,
  `
local z = B .. ':' .. ARGV[1]
local want, budget = tonumber(ARGV[3]), tonumber(ARGV[4])
local last, found, looked, done = ARGV[2], {}, 0, 0
local f = {}
for i = 5, #ARGV, 2 do f[ARGV[i]] = ARGV[i + 1] end
local plain = #ARGV == 4
local function matches(id)
  local v = redis.pcall('HMGET', K(id), 'agent', 'kind', 'caller', 'start', 'status', 'lease', 'n', 'max', 'stalled')
  if v.err then return false end
  if not v[1] then
    redis.call('ZREM', z, id) -- a record that has expired
    return false
  end
  local status = v[5] or (num(v[6], 0) > now and 'running') or (isSpent(v[7], v[8], v[9]) and 'exhausted') or 'interrupted'
  return (not f.agent or v[1] == f.agent) and (not f.kind or v[2] == f.kind) and (not f.caller or v[3] == f.caller) and
    (not f.from or num(v[4], 0) >= tonumber(f.from)) and (not f['until'] or num(v[4], 0) < tonumber(f['until'])) and
    (not f.status or string.find(f.status, ',' .. status .. ',', 1, true) ~= nil)
end
while #found < want and looked < budget and done == 0 do
  local size = plain and want - #found or 100
  local ids = redis.call('ZREVRANGEBYLEX', z, '(' .. last, '-', 'LIMIT', 0, size)
  for _, id in ipairs(ids) do
    if #found >= want then break end
    last = id
    looked = looked + 1
    if plain or matches(id) then found[#found + 1] = id end
  end
  if #ids < size and last == (ids[#ids] or last) then done = 1 end
end
return { done, last, found }
`
)

/**
 * Looks for runs in flight, in the order in which their leases end. ARGV: set, `ended`, `live` or `any`, how long ago at
 * least, lease and id after which to look, how many to find, how many to look at, then filters and their values.
 */
export const scanDue = Shared.script(
  "listInterrupted",
  Shared.base,
  `
local z = B .. ':' .. ARGV[1]
local afterLease, afterId = tonumber(ARGV[4]), ARGV[5]
local want, budget = tonumber(ARGV[6]), tonumber(ARGV[7])
local low, high = int(afterLease), '+inf'
if ARGV[2] == 'ended' then
  high = int(now - ARGV[3])
elseif ARGV[2] == 'live' and now >= afterLease then
  low = '(' .. int(now)
end
local f, definitions = {}, nil
for i = 8, #ARGV, 2 do
  if ARGV[i] == 'def' then
    definitions = definitions or {}
    definitions[ARGV[i + 1]] = true
  else
    f[ARGV[i]] = ARGV[i + 1]
  end
end
local plain = #ARGV == 7
local function matches(id)
  local v = redis.pcall('HMGET', K(id), 'agent', 'kind', 'caller', 'channel', 'parent', 'def')
  return not v.err and v[1] and (not f.agent or v[1] == f.agent) and (not f.kind or v[2] == f.kind) and
    (not f.caller or v[3] == f.caller) and (not f.channel or v[4] == f.channel) and
    (not f.parent or v[5] == f.parent) and (not f.root or not v[5]) and (not definitions or definitions[v[6]])
end
local found, looked, offset, done = {}, 0, 0, 0
local lastLease, lastId = ARGV[4], ARGV[5]
while #found < 2 * want and looked < budget and done == 0 do
  local size = math.min(100, want)
  local page = redis.call('ZRANGEBYSCORE', z, low, high, 'WITHSCORES', 'LIMIT', offset, size)
  offset = offset + size
  if #page < 2 * size then done = 1 end
  for i = 1, #page, 2 do
    local id, lease = page[i], page[i + 1]
    if #found >= 2 * want then
      done = 0
      break
    end
    if tonumber(lease) > afterLease or id > afterId then
      lastLease, lastId = lease, id
      looked = looked + 1
      if plain or matches(id) then
        found[#found + 1] = lease
        found[#found + 1] = id
      end
    end
  end
end
return { done, lastLease, lastId, found }
`
)
