-- Leases that the sweeper ended while a money call was allowed: job id -> when, and how long the lease was. They go when that time has passed
-- once more. They are as few as the workers that die, or are cut off, just then.
--- @include "include/keys.lua"
--- @include "include/records.lua"
local LAPSED = {'ended_ms', 'number', 'lease_ms', 'number'}

local function lapsed_ones()
  local found = redis.call('HGETALL', key('frozen', 'lapsed'))
  local ones = {}
  for i = 1, #found, 2 do ones[found[i]] = read_record(LAPSED, found[i + 1]) or {ended_ms = 0, lease_ms = 0} end
  return ones
end
