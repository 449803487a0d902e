-- fits: would the limits let this job spend so much now? Only looks, so that a job that must wait leaves the provider alone.
-- ARGV  id, JSON {numbers, usd, limits: [{scope, unit, window, most}, …]}
-- Reply {'ok'} | {'limit', …} as limit_against says
-- Twice: it writes nothing.
-- flags: no-writes
--- @include "include/clock.lua"
--- @include "include/spend_limits.lua"
return limit_against(ARGV[1], cjson.decode(ARGV[2]), now_ms()) or {'ok'}
