-- Counts by the minute, for charts. A hash holds an hour since the epoch, in fields {minute}:{what}, and is kept for a little more than a day.
-- `what` is 'ended:{state}' or 'call:{bound in ms}' ('inf' above the last).
--- @include "include/clock.lua"
--- @include "include/keys.lua"
local HOURS_KEPT_S = 25 * 3600

local function count_in_minute(what, by)
  local minute = math.floor(now_ms() / 60000)
  local hour = key('metrics', 'hour', int(math.floor(minute / 60)))
  if redis.call('HINCRBY', hour, int(minute % 60) .. ':' .. what, by) == tonumber(by) then redis.call('EXPIRE', hour, HOURS_KEPT_S) end
end
