import * as Shared from "./shared.ts"

/**
 * The one script that runs at every turn, so it shares nothing, each function that a script defines being made again
 * whenever it runs, and it does without each command that it can: one costs more within a script than what it does.
 * Redis itself writes whole numbers out in full.
 *
 * The rows go first: how many there are then says whether their place was free. Where it was not, they are taken back;
 * nobody sees what a script has not finished. A run that is in `due` is not exhausted, and no save makes it so: only
 * for one that is elsewhere, the script looks where it belongs.
 *
 * ARGV: id, owner, fence, ttl, position, where the rows begin, call, segments, fields and their values, rows. Answers
 * twice the position, and one more when a cancel was requested.
 */
export const save = Shared.script(
  "save",
  `
local call, argv, id = redis.call, ARGV, ARGV[1]
local k, rows, due = KEYS[1] .. ':run:' .. id, KEYS[1] .. ':rows:' .. id, KEYS[1] .. ':due'
local h = call('HMGET', k, 'fence', 'owner', 'released', 'cancel', 'call')
if not h[1] then return 'gone' end
if h[1] ~= argv[3] or h[2] ~= argv[2] or h[3] then return 'fenced' end
local cancel = h[4] and 1 or 0
if h[5] == argv[7] then return 2 * call('LLEN', rows) + cancel end
local first, last = argv[6] + 0, #argv
local count = last - first + 1
local changed = count > 0
local position
if changed and count < 1000 then
  position = call('RPUSH', rows, unpack(argv, first))
  if position ~= argv[5] + count then
    call('LTRIM', rows, 0, -1 - count)
    return { position - count }
  end
else
  position = call('LLEN', rows)
  if position ~= argv[5] + 0 then return { position } end
  -- Lua can hand over a few thousand values at once.
  for i = first, last, 1000 do
    position = call('RPUSH', rows, unpack(argv, i, math.min(i + 999, last)))
  end
  if not changed then
    for i = 9, first - 1, 2 do
      local name = argv[i]
      if (name == 'notes' or name == 'ws') and call('HGET', k, name) ~= argv[i + 1] then changed = true end
    end
  end
end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = now + argv[4]
if changed then
  call('HSET', k, 'lease', lease, 'upd', now, 'call', argv[7], 'stalled', '0', 'segs', argv[8], unpack(argv, 9, first - 1))
else
  call('HSET', k, 'lease', lease, 'upd', now, 'call', argv[7], 'segs', argv[8], unpack(argv, 9, first - 1))
end
if call('ZADD', due, 'XX', 'CH', lease, id) == 0 and not call('ZSCORE', due, id) then
  local n = call('HMGET', k, 'n', 'max', 'stalled')
  if n[1] - n[2] >= 0 or n[3] - 2 >= 0 then
    call('ZADD', KEYS[1] .. ':spent', lease, id)
  else
    call('ZADD', due, lease, id)
    call('ZREM', KEYS[1] .. ':spent', id)
  end
end
return 2 * position + cancel
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
  local h = redis.pcall('HMGET', k, 'fence', 'owner', 'released', 'n', 'max', 'stalled', 'cancel')
  -- Whatever is wrong with this one, the others keep their leases.
  local why = h.err and 'unknown' or refusal(h, ARGV[i + 1], ARGV[i + 2])
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

/** ARGV: id, owner, fence, call, reason, whether nothing was run, whether the process shuts down. */
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
local n, stalled = h[4], h[6]
if ARGV[6] == '1' and num(n, 1) > 1 then
  redis.call('HDEL', K(id), 'o' .. n, 'f' .. n, 's' .. n)
  n, stalled = n - 1, num(stalled, 1) - 1
elseif ARGV[7] == '1' and stalled == '0' and num(h[5], 0) < 2147483647 then
  h[5] = num(h[5], 0) + 1
  redis.call('HSET', K(id), 'max', h[5])
end
redis.call('HSET', K(id), 'lease', int(now), 'released', ARGV[5], 'call', ARGV[4], 'n', n or 1, 'stalled', stalled or 1)
place(id, now, isSpent(n, h[5], stalled))
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
