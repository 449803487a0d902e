-- alive: a worker process lives. Also notices a restart by itself.
-- ARGV  worker, vouch_ms (a process that was silent for longer than this can't have written: its leases are over), forget_ms
-- Reply {count, epoch}: see count_write
-- Twice: counts twice, which the process doesn't know of one of them; it may be sure of fewer than there are.
-- flags: allow-oom
local worker, vouch_ms, forget_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
notice_restart()
local now, workers, counts = now_ms(), key('workers'), key('vouch', 'counts')
redis.call('ZADD', workers, int(now), worker)
if redis.call('HGET', key('epoch'), 'vouch_ms') ~= vouch_ms then redis.call('HSET', key('epoch'), 'vouch_ms', vouch_ms) end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', workers, '-inf', int(now - forget_ms))) do
  redis.call('ZREM', workers, gone)
  redis.call('HDEL', counts, gone)
end
return count_write(worker)
