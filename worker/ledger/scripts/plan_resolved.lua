-- plan_resolved: what a dry run found out for a plan. The job itself is of no use any more and goes soon.
-- ARGV  name, version, job id, taken_ms (when its reading began), count, numbers (JSON), trouble ('' = none), keep_ms (the job, from now)
-- Reply 'ok' | 'older' (newer numbers are there) | 'gone' (deleted, or saved anew)
-- Twice: the second run writes the same.
local name, version, id, taken_ms, count, numbers, trouble, keep_ms = unpack(ARGV)
local plan, now = key('plan', name), now_ms()
redis.call('HDEL', key('plans', 'open'), id)
local until_ms = redis.call('ZSCORE', key('retention'), id)
if until_ms and tonumber(until_ms) > now + tonumber(keep_ms) then redis.call('ZADD', key('retention'), int(now + tonumber(keep_ms)), id) end
local f = redis.call('HMGET', plan, 'version', 'job', 'resolved_ms')
if f[1] ~= version then return 'gone' end
if f[2] == id then redis.call('HDEL', plan, 'job') end
if trouble ~= '' then
  redis.call('HSET', plan, 'trouble', trouble, 'trouble_ms', int(now))
  return 'ok'
end
if tonumber(f[3] or '0') > tonumber(taken_ms) then return 'older' end
redis.call('HSET', plan, 'numbers', numbers, 'count', count, 'resolved_ms', taken_ms, 'trouble', '')
return 'ok'
