import * as Shared from "./shared.ts"

/** ARGV: id, owner, fence, call, record, status, start, life of records in milliseconds (0: for ever). */
export const settle = Shared.script(
  "settle",
  Shared.base,
  Shared.held,
  Shared.forget,
  `
local id = ARGV[1]
local k = K(id)
local h = redis.call('HMGET', k, 'fence', 'owner', 'released', 'agent', 'kind', 'caller', 'key', 'print', 'call')
if not h[1] and h[9] == ARGV[4] then return { 'settled' } end
local why = refusal(h, ARGV[2], ARGV[3])
if why then return { why } end
local agent, caller, key = h[4], h[6], h[7]
land(id, agent)
local set = { 'HSET', k, 'record', ARGV[5], 'status', ARGV[6], 'start', ARGV[7], 'call', ARGV[4],
  'settled', int(now), 'agent', agent, 'kind', h[5] }
local function add(name, value)
  if value then
    set[#set + 1] = name
    set[#set + 1] = value
  end
end
add('caller', caller)
add('key', key)
add('print', h[8])
redis.call(unpack(set))
redis.call('ZADD', B .. ':done:' .. agent, 0, id)
redis.call('SADD', B .. ':agents', agent)
redis.call('ZADD', B .. (key and ':held' or ':settled'), int(now), member(id, agent, caller))
local life = tonumber(ARGV[8])
if life > 0 then
  redis.call('PEXPIRE', k, int(life))
  if key then redis.call('PEXPIRE', B .. ':key:' .. agent .. ' ' .. key, int(life)) end
  -- Records go by themselves; what names them goes here, a few at a time.
  for _, z in ipairs({ ':settled', ':held' }) do
    for _, m in ipairs(redis.call('ZRANGEBYSCORE', B .. z, '-inf', '(' .. int(now - life), 'LIMIT', 0, 8)) do
      dropRun(string.match(m, '^%S+'), m)
    end
  end
end
return { 'settled' }
`
)

/** ARGV: id, owner, fence. */
export const remove = Shared.script(
  "delete",
  Shared.base,
  Shared.held,
  Shared.forget,
  `
local h = redis.call('HMGET', K(ARGV[1]), 'fence', 'owner', 'released')
local why = refusal(h, ARGV[2], ARGV[3])
if why then return { why } end
dropHead(ARGV[1])
return { 'deleted' }
`
)
