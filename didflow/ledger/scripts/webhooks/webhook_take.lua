-- webhook_take: take messages that are due, the first of each job, and lease them to a process.
-- flags: allow-oom
-- ARGV  claim (names this take), lease_ms, the most deliveries of an endpoint at once, over all processes, the most that this take
--       takes; then for each endpoint: id, how many the process has room for
-- Reply {version of the endpoints, ms until another one is due ('' = none), now_ms, {endpoint, key, message, attempt, first_ms, delivered_ms, fields}, …}
-- Twice: the second run finds what the claim has, and takes no more.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
--- @include "include/webhooks.lua"
local claim, lease_ms, most, left = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now, next_ms = now_ms(), nil
local reply = {redis.call('GET', key('webhooks', 'version')) or '0', '', int(now)}

local function read_head(id, job)
  local text = redis.call('HGET', webhook_key(id, 'heads'), job) or ''
  return string.match(text, '^(%S+) (%S+) (%d+) (%d+)$')
end

-- The message, for the caller; false if it isn't kept any more.
local function give(id, job, message, attempt, first_ms, delivered_ms)
  local entry = redis.call('XRANGE', key('webhooks', 'messages'), message, message)[1]
  if not entry then return false end
  reply[#reply + 1] = {id, job, message, attempt, first_ms, delivered_ms or '', entry[2]}
  return true
end

local function lose(id, job, message)
  unqueue_message(id, job, message)
  note_missed(id, 1)
  log_attempt(id, 'lost', '{"event_id":"' .. message .. '","type":"","key":' .. json(job) .. ',"attempt":0,"outcome":"lost"}', '')
end

local function take(id, job, since_ms, delivered_ms)
  local message = queue_head(id, job)
  if not message then return redis.call('ZREM', webhook_key(id, 'due'), job) end
  local _, of, attempt, first_ms = read_head(id, job)
  -- The days of trying count from here for another message, and for an endpoint that was enabled since, or got another URL.
  if of ~= message or tonumber(first_ms) < since_ms then attempt, first_ms = 0, int(now) end
  attempt = int(tonumber(attempt) + 1)
  if not give(id, job, message, attempt, first_ms, delivered_ms) then return lose(id, job, message) end
  redis.call('HSET', webhook_key(id, 'heads'), job, claim .. ' ' .. message .. ' ' .. attempt .. ' ' .. first_ms)
  redis.call('ZADD', webhook_key(id, 'leases'), int(now + lease_ms), job)
  redis.call('ZADD', webhook_key(id, 'due'), int(now + lease_ms), job)
end

for i = 5, #ARGV, 2 do
  local id, leases = ARGV[i], webhook_key(ARGV[i], 'leases')
  for _, job in ipairs(redis.call('ZRANGEBYSCORE', leases, int(now), '+inf', 'LIMIT', 0, most)) do
    local token, message, attempt, first_ms = read_head(id, job)
    if token == claim then give(id, job, message, attempt, first_ms, redis.call('HGET', webhook_key(id), 'delivered_ms')) end
  end
end
if #reply > 3 then return reply end

local function soonest(ms) next_ms = math.min(next_ms or ms, ms) end

for i = 5, #ARGV, 2 do
  local id, leases = ARGV[i], webhook_key(ARGV[i], 'leases')
  local f = redis.call('HMGET', webhook_key(id), 'state', 'paused_ms', 'changed_ms', 'delivered_ms', 'url_ms')
  local paused_ms = whole(f[2], 0)
  if f[1] == 'enabled' and paused_ms > now then
    soonest(paused_ms)
  elseif f[1] == 'enabled' then
    redis.call('ZREMRANGEBYSCORE', leases, '-inf', int(now))
    local room = math.min(tonumber(ARGV[i + 1]), most - redis.call('ZCARD', leases), left)
    if room > 0 then
      local due = redis.call('ZRANGEBYSCORE', webhook_key(id, 'due'), '-inf', int(now), 'LIMIT', 0, room)
      for _, job in ipairs(due) do take(id, job, math.max(whole(f[3], 0), whole(f[5], 0)), f[4]) end
      left = left - #due
      local first = redis.call('ZRANGE', webhook_key(id, 'due'), 0, 0, 'WITHSCORES')
      if first[2] then soonest(tonumber(first[2])) end
    end
  end
end
if left <= 0 then soonest(now) end
reply[2] = next_ms and int(math.max(0, next_ms - now)) or ''
return reply
