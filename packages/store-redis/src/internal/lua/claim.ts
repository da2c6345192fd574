import * as Shared from "./shared.ts"

/** ARGV: id, owner, ttl, call. */
export const claim = Shared.script(
  "claim",
  Shared.base,
  Shared.place,
  Shared.take,
  Shared.head,
  Shared.checkpoint,
  `
local id = ARGV[1]
local h = redis.call('HMGET', K(id), 'lease', 'call', 'cs')
local lease = h[1]
if not lease then return { 'none' } end
if h[2] == ARGV[4] then return { 'resumed', h[3], checkpoint(id) } end
if tonumber(lease) > now then return { 'held', int(tonumber(lease) - now) } end
local spent = take(id, ARGV[2], tonumber(ARGV[3]), ARGV[4])
return { 'resumed', spent, checkpoint(id) }
`
)

/** Claims those of some runs that are still free. ARGV: owner, ttl, call, ids. */
export const claimMany = Shared.script(
  "claimNext",
  Shared.base,
  Shared.place,
  Shared.take,
  Shared.head,
  Shared.checkpoint,
  `
local claimed = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local h = redis.call('HMGET', K(id), 'lease', 'n', 'max', 'stalled', 'call', 'cs')
  if h[1] and h[5] == ARGV[3] then
    claimed[#claimed + 1] = { 'resumed', h[6], checkpoint(id) }
  elseif h[1] and tonumber(h[1]) <= now and not isSpent(h[2], h[3], h[4]) then
    local spent = take(id, ARGV[1], tonumber(ARGV[2]), ARGV[3])
    claimed[#claimed + 1] = { 'resumed', spent, checkpoint(id) }
  end
end
return claimed
`
)
