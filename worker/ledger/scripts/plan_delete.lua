-- plan_delete: forget a failover plan. Jobs that ran it stay.
-- ARGV  name
-- Reply 'ok' | 'gone'
-- Twice: the second run finds nothing.
redis.call('ZREM', key('plans'), ARGV[1])
return redis.call('DEL', key('plan', ARGV[1])) == 1 and 'ok' or 'gone'
