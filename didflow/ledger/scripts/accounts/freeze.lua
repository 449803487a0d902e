-- freeze: from now on no purchase and no release begins. What may have been sent already is settled on; `sending` says which jobs that are.
-- ARGV  account ('' = all), reason, actor
-- Reply {'frozen', record} | {'same', record: of the freeze that is in force there}
-- Twice: the second run finds it in force.
-- flags: allow-oom
--- @include "include/audit.lua"
--- @include "include/clock.lua"
--- @include "include/events.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
--- @include "include/records.lua"
local FREEZE = {'actor', 'string', 'reason', 'string', 'since_ms', 'number'}
local account, reason, actor = unpack(ARGV, 1, 3)
local known = redis.call('HGET', key('frozen'), account)
if known then return {'same', known} end
local record = record_text(FREEZE, {actor = actor, reason = reason, since_ms = now_ms()})
redis.call('HSET', key('frozen'), account, record)
announce_next('freeze', 'didflow.ledger.frozen.v1', account ~= '' and account or NS,
  '{"account":' .. json(account) .. ',"actor":' .. json(actor) .. ',"reason":' .. json(reason) .. '}')
note_audit('freeze', actor, '{"account":' .. json(account) .. '}', reason)
return {'frozen', record}
