-- incident_list: list jobs under their incidents that were submitted before incidents were listed.
-- ARGV  incident, job id, … in pairs
-- Reply how many were new
-- Twice: the second run finds them listed.
--- @include "include/clock.lua"
--- @include "include/incidents.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
local count = 0
for i = 1, #ARGV, 2 do
  local f = redis.call('HMGET', job_key(ARGV[i + 1]), 'created_ms', 'incident')
  if f[1] and not f[2] then
    list_under_incident(ARGV[i], ARGV[i + 1], whole(f[1], now_ms()))
    count = count + 1
  end
end
return count
