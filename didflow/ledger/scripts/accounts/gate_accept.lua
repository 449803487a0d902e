-- gate_accept: a person says that these are no job's: records that are owned, numbers that lie in the cart.
-- ARGV  account, then for each: record id or number; its number; what its history tells (JSON, see tell_history; '' = nothing)
-- Reply how many were new
-- Twice: the second run finds them accepted, and in the history.
--- @include "include/histories.lua"
--- @include "include/keys.lua"
local k, count, happened = key('gate', ARGV[1], 'accepted'), 0, {}
for i = 2, #ARGV, 3 do
  if redis.call('SADD', k, ARGV[i]) == 1 then
    count = count + 1
    if ARGV[i + 2] ~= '' then happened[ARGV[i + 1]] = cjson.decode(ARGV[i + 2]) end
  end
end
tell_history('', happened, {'reconcile', ARGV[1]})
return count
