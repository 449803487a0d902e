-- gate_accept: a person says that these are no job's: records that are owned, numbers that lie in the cart. All of them, or none.
-- ARGV  account, then for each: record id or number; its number; what its history tells (JSON, see tell_history)
-- Reply {'accepted', how many were new} | {'decided', number, the purchase that it was given to, or will be}
-- Twice: the second run finds them accepted, and in the history.
--- @include "include/audit.lua"
--- @include "include/gifts.lua"
--- @include "include/histories.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
local k, happened, accepted = key('gate', ARGV[1], 'accepted'), {}, {}
for i = 2, #ARGV, 3 do
  local purchase = ARGV[i] ~= ARGV[i + 1] and purchase_decided(ARGV[1], ARGV[i + 1], tonumber(ARGV[i]))
  if purchase then return {'decided', ARGV[i + 1], purchase} end
end
for i = 2, #ARGV, 3 do
  if redis.call('SADD', k, ARGV[i]) == 1 then
    happened[ARGV[i + 1]] = cjson.decode(ARGV[i + 2])
    accepted[#accepted + 1] = ARGV[i + 1]
  end
end
tell_history('', happened, {'reconcile', ARGV[1]})
if #accepted > 0 then
  note_audit('gate accept', CALLING_ACTOR, '{"account":' .. json(ARGV[1]) .. '}', table.concat(accepted, ' '))
end
return {'accepted', #accepted}
