-- Puts the job's message of this number on its lane's queue, in the form that Dramatiq reads, and wakes one idle consumer. The actor is the
-- one of the job's kind.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/lanes.lua"
--- @include "include/reading.lua"
local function send_message(id, kind, lane, n, priority, crashes)
  lane = lane_of(lane)
  local message_id = id .. ':' .. int(n)
  redis.call('HSET', key('queue', lane .. '.msgs'), message_id,
    '{"queue_name":' .. json(lane) .. ',"actor_name":' .. json(kind or '') .. ',"args":[' .. json(id) .. '],"kwargs":{},"options":{"redis_message_id":'
    .. json(message_id) .. '},"message_id":' .. json(message_id) .. ',"message_timestamp":' .. int(now_ms()) .. '}')
  -- Dramatiq takes from the head. Priorities above the middle go there, and what a dead worker left half done: it had its turn.
  local urgent = whole(priority, 5) < 5 or whole(crashes, 0) > 0
  redis.call(urgent and 'LPUSH' or 'RPUSH', key('queue', lane), message_id)
  if redis.call('LLEN', key('wake', lane)) < 64 then redis.call('LPUSH', key('wake', lane), '1') end
end

local function nudge(id, lane)
  local f = redis.call('HMGET', job_key(id), 'nudges', 'unanswered', 'priority', 'crashes', 'kind')
  local n = whole(f[1], 0) + 1
  redis.call('HSET', job_key(id), 'nudges', int(n), 'unanswered', int(whole(f[2], 0) + 1))
  send_message(id, f[5], lane, n, f[3], f[4])
end

-- Whether the job's last message still waits to be taken.
local function has_message(id, lane, nudges)
  return redis.call('HEXISTS', key('queue', lane_of(lane) .. '.msgs'), id .. ':' .. (nudges or '0')) == 1
end

-- The sweeper looks at the job then.
local function look_at(id, lane, ms)
  redis.call('ZADD', key('due'), int(ms), id)
  if lane == 'emergency' then redis.call('ZADD', key('due_first'), int(ms), id) end
end

-- Due now: nudge, and let the sweeper check again after `again_ms` in case the nudge is lost.
local function enqueue(id, lane, now, again_ms)
  look_at(id, lane, now + again_ms)
  nudge(id, lane)
end
