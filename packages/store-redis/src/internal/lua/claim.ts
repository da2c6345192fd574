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
local h = redis.call('HMGET', K(id), 'lease', 'call', 'cs', 'fence')
if not h[4] then return { 'none' } end
if h[2] == ARGV[4] then return { 'resumed', h[3], checkpoint(id), id } end
local lease = num(h[1], 0)
if lease > now then return { 'held', int(lease - now) } end
local spent = take(id, ARGV[2], tonumber(ARGV[3]), ARGV[4])
return { 'resumed', spent, checkpoint(id), id }
`
)

/**
 * Claims those of some runs that are still free. What is wrong with one of them stops none of the others: what a script
 * has written stays written. One that cannot even be claimed goes where no sweep looks. ARGV: owner, ttl, call, ids.
 */
export const claimMany = Shared.script(
  "claimNext",
  Shared.base,
  Shared.place,
  Shared.take,
  Shared.head,
  Shared.checkpoint,
  `
local function claim(id)
  local h = redis.call('HMGET', K(id), 'lease', 'n', 'max', 'stalled', 'call', 'cs', 'fence', 'record')
  if not h[7] then
    -- Settled or deleted meanwhile, unless it is still said to be due.
    return not h[8] and redis.call('ZSCORE', B .. ':due', id) and error('its fence is missing')
  end
  if h[5] == ARGV[3] then return { 'resumed', h[6], checkpoint(id), id } end
  if num(h[1], 0) > now then return false end
  if isSpent(h[2], h[3], h[4]) then
    place(id, num(h[1], 0), true)
    return false
  end
  return { 'resumed', take(id, ARGV[1], tonumber(ARGV[2]), ARGV[3]), checkpoint(id), id }
end
local claimed = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local ok, answer = pcall(claim, id)
  if not ok then
    place(id, now, true)
    answer = { 'resumed', 0, 'its head cannot be read', id }
  end
  if answer then claimed[#claimed + 1] = answer end
end
return claimed
`
)
