-- renew: the heartbeat of a process, for all its leases at once.
-- ARGV  lease_ms, then id, token, id, token, …
-- Reply one of 'ok' | 'lost' | 'cancel' per pair; 'cancel': the lease holds, and the job was cancelled.
-- Twice: sets the same lease ends again.
-- flags: allow-oom
--- @include "include/batches.lua"
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/tokens.lua"
local now, replies = now_ms(), {}
for i = 2, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  if holds(id, token) then
    local ends = int(now + tonumber(ARGV[1]))
    redis.call('HSET', job_key(id), 'lease_ms', ends)
    redis.call('ZADD', key('leases'), ends, id)
    local f = redis.call('HMGET', job_key(id), 'cancel', 'parent')
    replies[#replies + 1] = is_called_off(f[1], f[2]) and 'cancel' or 'ok'
  else
    replies[#replies + 1] = 'lost'
  end
end
return replies
