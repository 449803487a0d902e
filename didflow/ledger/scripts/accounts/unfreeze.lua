-- unfreeze: lift a freeze, and wake the jobs that waited. One of the same jobs that another freeze still stops waits again.
-- ARGV  account ('' = the freeze of all), reason ('' = none), actor
-- Reply {'lifted', record of the freeze} | {'none'}
-- Twice: the second run finds none.
-- flags: allow-oom
--- @include "include/audit.lua"
--- @include "include/events.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
--- @include "include/wakes.lua"
local account, reason, actor = unpack(ARGV, 1, 3)
local record = redis.call('HGET', key('frozen'), account)
if not record then return {'none'} end
redis.call('HDEL', key('frozen'), account)
announce_next('freeze', 'didflow.ledger.unfrozen.v1', account ~= '' and account or NS,
  '{"account":' .. json(account) .. ',"actor":' .. json(actor) .. ',"reason":' .. json(reason) .. '}')
note_audit('unfreeze', actor, '{"account":' .. json(account) .. '}', reason)
wake_some(key('frozen', 'held'))
return {'lifted', record}
