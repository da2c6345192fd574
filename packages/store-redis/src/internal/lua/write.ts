import * as Shared from "./shared.ts"

/** ARGV: id, owner, fence, call, ttl, position, segments, number of fields and values, those, rows. */
export const save = Shared.script(
  "save",
  Shared.base,
  Shared.place,
  Shared.held,
  `
local id = ARGV[1]
local k, rows = K(id), R(id)
local h = redis.call('HMGET', k, 'fence', 'owner', 'n', 'max', 'stalled', 'cancel', 'released',
  'call')
local why = refusal(h, ARGV[2], ARGV[3])
if why then return { why } end
local position = redis.call('LLEN', rows)
if h[8] == ARGV[4] then return { 'saved', position, h[6] and 1 or 0 } end
if position ~= tonumber(ARGV[6]) then return { 'conflict', position } end
local first = 9 + tonumber(ARGV[8])
local changed = #ARGV >= first
local set = { 'HSET', k, 'segs', ARGV[7], 'lease', int(now + ARGV[5]), 'upd', int(now), 'call', ARGV[4] }
for i = 9, first - 1, 2 do
  local name, value = ARGV[i], ARGV[i + 1]
  if not changed and (name == 'notes' or name == 'ws') then changed = redis.call('HGET', k, name) ~= value end
  set[#set + 1] = name
  set[#set + 1] = value
end
local stalled = changed and '0' or h[5]
set[#set + 1] = 'stalled'
set[#set + 1] = stalled
redis.call(unpack(set))
if h[7] then redis.call('HDEL', k, 'released') end
-- Lua can hand over a few thousand values at once.
for i = first, #ARGV, 1000 do
  position = redis.call('RPUSH', rows, unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
if isSpent(h[3], h[4], h[5]) == isSpent(h[3], h[4], stalled) then
  redis.call('ZADD', B .. (isSpent(h[3], h[4], stalled) and ':spent' or ':due'), int(now + ARGV[5]), id)
else
  place(id, now + ARGV[5], isSpent(h[3], h[4], stalled))
end
return { 'saved', position, h[6] and 1 or 0 }
`
)

/** ARGV: ttl, then id, owner and fence of each lease. */
export const renew = Shared.script(
  "renew",
  Shared.base,
  Shared.place,
  Shared.held,
  `
local ttl = tonumber(ARGV[1])
local answers = {}
for i = 2, #ARGV, 3 do
  local id = ARGV[i]
  local k = K(id)
  local h = redis.call('HMGET', k, 'fence', 'owner', 'n', 'max', 'stalled', 'cancel', 'released')
  local why = refusal(h, ARGV[i + 1], ARGV[i + 2])
  if not why then
    redis.call('HSET', k, 'lease', int(now + ttl))
    if h[7] then redis.call('HDEL', k, 'released') end
    place(id, now + ttl, isSpent(h[3], h[4], h[5]))
  end
  answers[#answers + 1] = why or 'renewed'
  answers[#answers + 1] = not why and h[6] and 1 or 0
end
return answers
`
)

/** ARGV: id, owner, fence, reason. */
export const release = Shared.script(
  "release",
  Shared.base,
  Shared.place,
  Shared.held,
  `
local id = ARGV[1]
local h = redis.call('HMGET', K(id), 'fence', 'owner', 'n', 'max', 'stalled')
local why = refusal(h, ARGV[2], ARGV[3])
if why then return { why } end
redis.call('HSET', K(id), 'lease', int(now), 'released', ARGV[4])
place(id, now, isSpent(h[3], h[4], h[5]))
return { 'released' }
`
)

/** ARGV: id. */
export const requestCancel = Shared.script(
  "requestCancel",
  Shared.base,
  `
if redis.call('HEXISTS', K(ARGV[1]), 'fence') == 0 then return 0 end
redis.call('HSET', K(ARGV[1]), 'cancel', '1')
return 1
`
)
