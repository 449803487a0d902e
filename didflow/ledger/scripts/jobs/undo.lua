-- undo: who may undo a reroute. Once one failback has it, only the same key gets it again, or another one if something was left to do.
-- ARGV  reroute id, failback id (about to be submitted), its key ('' = none), stale_ms (who didn't submit within this time has died)
-- Reply {'ok'} | {'taken', failback id, its key}
-- Twice: the second run finds its own id.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
local undone, id, idem, stale_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local job, now = job_key(undone), now_ms()
if redis.call('EXISTS', job) == 0 then return {'ok'} end  -- The submit's own checks name it.
local f = redis.call('HMGET', job, 'undone_by', 'undone_key', 'undone_ms')
local holder, holder_key, taken_ms = f[1], f[2] or '', whole(f[3], 0)
if holder and holder ~= id then
  if idem ~= '' and idem == holder_key then return {'ok'} end
  local state = redis.call('HGET', job_key(holder), 'state')
  local gone = not state and now - taken_ms > stale_ms
  local left = state == 'failed' or state == 'partial' or state == 'cancelled' or state == 'expired'
  if not gone and not left then return {'taken', holder, holder_key} end
end
if holder ~= id then redis.call('HSET', job, 'undone_by', id, 'undone_key', idem, 'undone_ms', int(now)) end
return {'ok'}
