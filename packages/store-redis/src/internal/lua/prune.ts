import * as Shared from "./shared.ts"

/** Settled runs by age. ARGV: age, retention of keys, how many. Answers how many went, and whether more may go. */
export const pruneAge = Shared.script(
  "prune",
  Shared.base,
  Shared.forget,
  `
local left = tonumber(ARGV[3])
local asked, gone = left, 0
for _, z in ipairs({ ':settled', ':held' }) do
  local age = z == ':held' and math.max(tonumber(ARGV[1]), tonumber(ARGV[2])) or tonumber(ARGV[1])
  if left > 0 then
    for _, m in ipairs(redis.call('ZRANGEBYSCORE', B .. z, '-inf', '(' .. int(now - age), 'LIMIT', 0, left)) do
      left = left - 1
      gone = gone + dropRun(string.match(m, '^%S+'), m)
    end
  end
end
return { gone, left == 0 and asked > 0 and 1 or 0 }
`
)

/**
 * Settled runs of one agent beyond the newest. ARGV: agent, how many to keep, retention of keys, how many to delete,
 * how many to look at, how many to skip. Answers how many went, how many were kept, and whether more may go.
 */
export const pruneRank = Shared.script(
  "prune",
  Shared.base,
  Shared.forget,
  `
local z = B .. ':done:' .. ARGV[1]
local keep, retention, left, budget = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local skip = tonumber(ARGV[6])
local excess = redis.call('ZCARD', z) - keep - skip
local gone, kept = 0, 0
if excess <= 0 then return { 0, 0, 0 } end
for _, id in ipairs(redis.call('ZRANGE', z, skip, skip + math.min(excess, budget) - 1)) do
  if gone >= left then break end
  local v = redis.call('HMGET', K(id), 'key', 'settled')
  if not v[2] then
    unindex(id, ARGV[1], false) -- a record that has expired
  elseif v[1] and now - tonumber(v[2]) < retention then
    kept = kept + 1
  else
    gone = gone + dropRun(id)
  end
end
return { gone, kept, excess > budget and gone < left and 1 or 0 }
`
)

/** Agents with settled runs. ARGV: cursor. */
export const agents = Shared.script(
  "prune",
  Shared.base,
  `return redis.call('SSCAN', B .. ':agents', ARGV[1], 'COUNT', 500)`
)

/** Exhausted runs in flight. ARGV: age, retention of keys, how many to delete, how many to look at, how many to skip. */
export const pruneSpent = Shared.script(
  "prune",
  Shared.base,
  Shared.forget,
  `
local age, retention, left, budget = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ids = redis.call('ZRANGEBYSCORE', B .. ':spent', '-inf', '(' .. int(now - age), 'LIMIT', ARGV[5], budget)
local gone, kept = 0, 0
for _, id in ipairs(ids) do
  if gone >= left then break end
  local v = redis.pcall('HMGET', K(id), 'key', 'lease')
  if v[1] and now - num(v[2], 0) < retention then
    kept = kept + 1
  else
    dropHead(id)
    gone = gone + 1
  end
end
return { gone, kept, #ids == budget and gone < left and 1 or 0 }
`
)

/** Settled runs of an index. ARGV: index, id after which to look, how many to look at. Answers how many went, and the last. */
export const erase = Shared.script(
  "erase",
  Shared.base,
  Shared.forget,
  `
local z = B .. ':' .. ARGV[1]
local budget, gone, last = tonumber(ARGV[3]), 0, ''
local ids = redis.call('ZRANGEBYLEX', z, ARGV[2] == '' and '-' or '(' .. ARGV[2], '+', 'LIMIT', 0, budget)
for _, id in ipairs(ids) do
  last = id
  local v = redis.call('HMGET', K(id), 'record', 'fence')
  if v[1] then
    gone = gone + dropRun(id)
  elseif not v[2] then
    redis.call('ZREM', z, id)
  end
end
return { gone, #ids == budget and last or '' }
`
)
