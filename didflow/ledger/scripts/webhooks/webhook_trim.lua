-- webhook_trim: delete messages that no queue needs, but for the newest, and the queue of an endpoint that has been disabled for long.
-- flags: allow-oom
-- ARGV  how many messages are kept for redelivery, disabled_ms: for how long a disabled endpoint keeps its queue
-- Reply how many messages went
-- Twice: the second run finds less to do.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
--- @include "include/webhooks.lua"
local now, oldest = now_ms(), nil
for _, id in ipairs(redis.call('HKEYS', key('webhooks'))) do
  local f = redis.call('HMGET', webhook_key(id), 'state', 'changed_ms')
  local queued = redis.call('ZCARD', webhook_key(id, 'queue'))
  if queued > 0 and f[1] == 'disabled' and whole(f[2], now) + tonumber(ARGV[2]) <= now then
    note_missed(id, queued)
    for _, part in ipairs({'queue', 'ages', 'due', 'heads', 'leases'}) do redis.call('UNLINK', webhook_key(id, part)) end
  end
  local first = redis.call('ZRANGE', webhook_key(id, 'ages'), 0, 0, 'WITHSCORES')[2]
  if first then oldest = math.min(oldest or tonumber(first), tonumber(first)) end
end
local messages = key('webhooks', 'messages')
local too_many = redis.call('XLEN', messages) - tonumber(ARGV[1])
if too_many <= 0 then return 0 end
return redis.call('XTRIM', messages, 'MINID', '~', int(oldest or now), 'LIMIT', too_many)
