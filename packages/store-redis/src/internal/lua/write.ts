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
local h = redis.call('HMGET', k, 'fence', 'owner', 'released', 'n', 'max', 'stalled', 'cancel', 'call')
local why = refusal(h, ARGV[2], ARGV[3])
if why then return { why } end
local position = redis.call('LLEN', rows)
if h[8] == ARGV[4] then return { 'saved', position, h[7] and 1 or 0 } end
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
local stalled = changed and '0' or h[6]
set[#set + 1] = 'stalled'
set[#set + 1] = stalled
redis.call(unpack(set))
-- Lua can hand over a few thousand values at once.
for i = first, #ARGV, 1000 do
  position = redis.call('RPUSH', rows, unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
local spent = isSpent(h[4], h[5], stalled)
if isSpent(h[4], h[5], h[6]) == spent then
  redis.call('ZADD', B .. (spent and ':spent' or ':due'), int(now + ARGV[5]), id)
else
  place(id, now + ARGV[5], spent)
end
return { 'saved', position, h[7] and 1 or 0 }
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
  local h = redis.call('HMGET', k, 'fence', 'owner', 'released', 'n', 'max', 'stalled', 'cancel')
  local why = refusal(h, ARGV[i + 1], ARGV[i + 2])
  if not why then
    redis.call('HSET', k, 'lease', int(now + ttl))
    place(id, now + ttl, isSpent(h[4], h[5], h[6]))
  end
  answers[#answers + 1] = why or 'renewed'
  answers[#answers + 1] = not why and h[7] and 1 or 0
end
return answers
`
)

/** ARGV: id, owner, fence, call, reason. */
export const release = Shared.script(
  "release",
  Shared.base,
  Shared.place,
  Shared.held,
  `
local id = ARGV[1]
local h = redis.call('HMGET', K(id), 'fence', 'owner', 'released', 'n', 'max', 'stalled', 'call')
if h[3] and h[7] == ARGV[4] then return { 'released' } end
local why = refusal(h, ARGV[2], ARGV[3])
if why then return { why } end
redis.call('HSET', K(id), 'lease', int(now), 'released', ARGV[5], 'call', ARGV[4])
place(id, now, isSpent(h[4], h[5], h[6]))
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
