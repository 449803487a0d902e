-- plan_refreshing: note the dry run that determines a plan's numbers, and, where it was due, when the next one is.
-- ARGV  name, version, slot_ms (the due time that it was submitted for; '' = by a person), job id, every_ms
-- Reply 'ok' | 'gone' (deleted, or saved again)
-- Twice: the second run finds another due time.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/records.lua"
local OPEN_PLAN = {'name', 'string', 'version', 'string'}
local name, version, slot_ms, id, every_ms = unpack(ARGV)
local plan, plans = key('plan', name), key('plans')
local known = redis.call('HGET', plan, 'version')
if not known then redis.call('ZREM', plans, name) end
if known ~= version then return 'gone' end
if slot_ms ~= '' then
  if tonumber(redis.call('ZSCORE', plans, name) or '0') ~= tonumber(slot_ms) then return 'ok' end
  redis.call('ZADD', plans, int(now_ms() + tonumber(every_ms)), name)
end
redis.call('HSET', plan, 'job', id)
redis.call('HSET', key('plans', 'open'), id, record_text(OPEN_PLAN, {name = name, version = version}))
return 'ok'
