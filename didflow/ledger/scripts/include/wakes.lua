-- Jobs that wait together for an account or its gate: zset by priority. When they may resume, they are woken in portions; the
-- sweeper wakes the others. Each of them is also due by itself, within a minute, so none depends on it.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/nudges.lua"
local WOKEN = 50

-- Notes that the job waits there.
local function wait_in(waiting, id)
  redis.call('ZADD', waiting, redis.call('HGET', job_key(id), 'lane') == 'emergency' and 0 or int(now_ms()), id)
end

-- Wakes the first of those that wait there. What is left is noted for the sweeper. Returns how many were woken.
local function wake_some(waiting)
  local ids = redis.call('ZRANGE', waiting, 0, WOKEN - 1)
  for _, id in ipairs(ids) do
    redis.call('HSET', job_key(id), 'due_ms', '', 'unanswered', '0')
    look_at(id, redis.call('HGET', job_key(id), 'lane'), now_ms())
  end
  if #ids > 0 then redis.call('ZREM', waiting, unpack(ids)) end
  redis.call(#ids == WOKEN and 'SADD' or 'SREM', key('waking'), waiting)
  return #ids
end
