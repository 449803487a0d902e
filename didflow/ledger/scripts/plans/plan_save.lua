-- plan_save: keep a failover plan, in place of one of the same name. Its numbers are detected next.
-- ARGV  name, version (unique to this save), spec, saved by, first_ms (from now: when a worker refreshes them, if it wasn't done before),
--       keep_ms (the dry run that read the numbers of the one before, from now)
-- Reply 'ok'
-- Twice: the second run finds its version.
--- @include "include/clock.lua"
--- @include "include/decisions.lua"
--- @include "include/shortened_retention.lua"
--- @include "include/keys.lua"
local name, version, spec, by, first_ms, keep_ms = unpack(ARGV)
local plan, now = key('plan', name), now_ms()
if redis.call('HGET', plan, 'version') == version then return 'ok' end
shorten_retention(redis.call('HGET', plan, 'snapshot'), tonumber(keep_ms))
redis.call('DEL', plan)
redis.call('HSET', plan, 'version', version, 'spec', spec, 'saved_by', by, 'saved_ms', int(now))
redis.call('ZADD', key('plans'), int(now + tonumber(first_ms)), name)
note_decision('plan save', name, by)
return 'ok'
