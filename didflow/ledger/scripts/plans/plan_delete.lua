-- plan_delete: forget a failover plan. Jobs that ran it stay.
-- ARGV  name, keep_ms (the dry run that read its numbers, from now), actor: who deletes it
-- Reply 'ok' | 'gone'
-- Twice: the second run finds nothing.
--- @include "include/decisions.lua"
--- @include "include/shortened_retention.lua"
--- @include "include/keys.lua"
shorten_retention(redis.call('HGET', key('plan', ARGV[1]), 'snapshot'), tonumber(ARGV[2]))
redis.call('ZREM', key('plans'), ARGV[1])
if redis.call('DEL', key('plan', ARGV[1])) == 0 then return 'gone' end
note_decision('plan delete', ARGV[1], ARGV[3])
return 'ok'
