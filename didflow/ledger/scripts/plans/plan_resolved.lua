-- plan_resolved: what a dry run detected for a plan. The job itself goes soon, unless it has pages: then when the next one has come.
-- ARGV  name, version, job id, taken_ms (when its reading began), count, numbers (JSON), trouble ('' = none), keep_ms (the job, from now),
--       pages ('1': it has)
-- Reply 'ok' | 'older' (newer numbers are there) | 'gone' (deleted, or saved again)
-- Twice: the second run writes the same.
--- @include "include/clock.lua"
--- @include "include/shortened_retention.lua"
--- @include "include/keys.lua"
local name, version, id, taken_ms, count, numbers, trouble, keep_ms, pages = unpack(ARGV)
local plan, now = key('plan', name), now_ms()
redis.call('HDEL', key('plans', 'open'), id)
local f = redis.call('HMGET', plan, 'version', 'job', 'resolved_ms', 'snapshot')
local newer = f[1] == version and trouble == '' and tonumber(f[3] or '0') <= tonumber(taken_ms)
if not (newer and pages == '1') and f[4] ~= id then shorten_retention(id, tonumber(keep_ms)) end
if f[1] ~= version then return 'gone' end
if f[2] == id then redis.call('HDEL', plan, 'job') end
if trouble ~= '' then
  redis.call('HSET', plan, 'trouble', trouble, 'trouble_ms', int(now))
  return 'ok'
end
if not newer then return 'older' end
if f[4] ~= id then shorten_retention(f[4], tonumber(keep_ms)) end
redis.call('HSET', plan, 'numbers', numbers, 'count', count, 'resolved_ms', taken_ms, 'trouble', '', 'snapshot', pages == '1' and id or '')
return 'ok'
