-- webhook_hasten: let some of the jobs whose events wait for another attempt be due now.
-- ARGV  endpoint, how many at most
-- Reply how many there were; fewer than that is all of them
-- Twice: the second run takes others.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/webhooks.lua"
local id, now = ARGV[1], int(now_ms())
local waiting = redis.call('ZRANGEBYSCORE', webhook_key(id, 'due'), '(' .. now, '+inf', 'LIMIT', 0, tonumber(ARGV[2]))
for _, job in ipairs(waiting) do
  if not is_leased(id, job) then redis.call('ZADD', webhook_key(id, 'due'), now, job) end
end
return #waiting
