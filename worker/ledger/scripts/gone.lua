-- gone: a worker process signs off: nothing of it is under way any more.
-- ARGV  worker
-- Reply 1 if it was there, else 0
-- Twice: the second run finds it gone.
-- flags: allow-oom
redis.call('HDEL', key('vouch', 'counts'), ARGV[1])
return redis.call('ZREM', key('workers'), ARGV[1])
