-- Counts by the minute, for charts. A hash holds an hour since the epoch, in fields {minute}:{what}, and is kept for a little more than a day.
-- `what` is 'ended:{state}' or 'call:{bound in ms}' ('inf' above the last).
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/shared_writes.lua"
local HOURS_KEPT_S = 25 * 3600

local function count_in_minute(what, by)
  local minute = math.floor(now_ms() / 60000)
  local hour = key('metrics', 'hour', int(math.floor(minute / 60)))
  add_to_count(hour, int(minute % 60) .. ':' .. what, by, HOURS_KEPT_S)
end
