import * as Shared from "./shared.ts"

/** ARGV: id, owner, ttl, exclusive, call, whether the hash must be the same, then fields of the head and their values. */
export const begin = Shared.script(
  "begin",
  Shared.base,
  Shared.place,
  Shared.take,
  Shared.head,
  Shared.checkpoint,
  `
local id, owner, ttl, exclusive = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local call, sameHash = ARGV[5], ARGV[6] == '1'
local f = {}
local k = K(id)
local set = { 'HSET', k }
for i = 7, #ARGV, 2 do
  f[ARGV[i]] = ARGV[i + 1]
  set[#set + 1] = ARGV[i]
  set[#set + 1] = ARGV[i + 1]
end
local repeated = redis.call('HMGET', k, 'fence', 'call', 'cs')
if repeated[1] and repeated[2] == call and not repeated[3] then return { 'begun', repeated[1] } end
local kk = f.key and B .. ':key:' .. f.agent .. ' ' .. f.key
local keyed = kk and redis.call('GET', kk)
if keyed then
  local v = redis.call('HMGET', K(keyed), 'print', 'record')
  if not v[1] then
    keyed = false
  elseif v[1] ~= f.print then
    return { 'mismatch', keyed }
  elseif v[2] then
    return { 'replayed', v[2], f.key, v[1] }
  end
end
local other = keyed or (exclusive and redis.call('HGET', B .. ':guards', f.agent))
if other then
  local h = redis.call('HMGET', K(other), 'lease', 'key', 'call', 'cs', 'cancel', 'def', 'hash', 'fence')
  if h[8] then
    if h[3] == call then return { 'resumed', h[4], checkpoint(other), other } end
    local left = math.max(0, num(h[1], 0) - now)
    -- A run whose cancel was requested goes to any caller, to close it.
    if left > 0 or not (h[5] or not f.key or h[2] == f.key) then return { 'busy', other, int(left) } end
    local same = h[6] == f.def and (not sameHash or h[7] == f.hash)
    if not (h[5] or same) then return { 'other', other, h[6] } end
    local spent = take(other, owner, ttl, call)
    return { 'resumed', spent, checkpoint(other), other }
  end
end
if redis.call('EXISTS', k) == 1 then return { 'exists' } end
local fence, lease = int(micros), int(now + ttl)
for _, v in ipairs({ 'owner', owner, 'fence', fence, 'lease', lease, 'n', '1', 'stalled', '1', 'start', int(now),
  'upd', int(now), 'iter', '0', 'phase', '', 'phases', '[]', 'segs', '', 'o1', owner, 'f1', fence, 's1', int(now), 'call', call }) do
  set[#set + 1] = v
end
redis.call(unpack(set))
place(id, now + ttl, isSpent(1, f.max, 1))
redis.call('ZADD', B .. ':runs', 0, id)
redis.call('ZADD', B .. ':agent:' .. f.agent, 0, id)
if f.caller then redis.call('ZADD', B .. ':caller:' .. f.caller, 0, id) end
if exclusive then redis.call('HSET', B .. ':guards', f.agent, id) end
if kk then redis.call('SET', kk, id) end
return { 'begun', fence }
`
)
