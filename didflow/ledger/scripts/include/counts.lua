-- Counts ended and parked jobs, for metrics: one field a combination of kind, state, and the bounds (ms) that the wait and the run stayed below, so
-- that a count, once written with the end itself, is exact after any crash. Fields: {kind}:{state}:{wait bound}:{run bound}; {kind}:wait_ms and
-- {kind}:run_ms are sums. A bound is 'none' where there was no such time, 'inf' above the last.
--- @include "include/keys.lua"
--- @include "include/minutes.lua"
--- @include "include/shared_writes.lua"
local BOUNDS_MS = {5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 1800000, 7200000, 86400000}

local function bound_of(ms)
  if not ms then return 'none' end
  for _, bound in ipairs(BOUNDS_MS) do
    if ms <= bound then return int(bound) end
  end
  return 'inf'
end

-- `wait_ms`: from when it was due until it began; `run_ms`: from then until now. nil: it didn't begin, or was parked or ended by a person.
local function count_end(kind, state, wait_ms, run_ms)
  kind = string.match(kind or '', '^[a-z_]+$') or 'unreadable'
  local ended = key('metrics', 'ended')
  add_to_count(ended, kind .. ':' .. state .. ':' .. bound_of(wait_ms) .. ':' .. bound_of(run_ms), 1)
  count_in_minute('ended:' .. state, 1)
  if wait_ms then add_to_count(ended, kind .. ':wait_ms', wait_ms) end
  if run_ms then add_to_count(ended, kind .. ':run_ms', run_ms) end
end
