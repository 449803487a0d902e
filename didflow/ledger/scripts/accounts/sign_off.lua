-- sign_off: a worker process signs off: nothing of it is under way any more. A restart is noticed first, so that the
-- writes it lost are accounted for.
-- ARGV  worker
-- Reply 1 if it was there, else 0
-- Twice: the second run finds it gone.
-- flags: allow-oom
--- @include "include/keys.lua"
--- @include "include/restarts.lua"
notice_restart()
for _, name in ipairs({'counts', 'acked', 'life'}) do redis.call('HDEL', key('vouch', name), ARGV[1]) end
redis.call('DEL', key('taken', ARGV[1]))
redis.call('HDEL', key('metrics', 'counted'), ARGV[1])
return redis.call('ZREM', key('workers'), ARGV[1])
