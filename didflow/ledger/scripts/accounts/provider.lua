-- provider: note to which provider account the ledger's jobs of an account belong. What is noted is changed by a person alone.
-- ARGV  account, server (its address), records ('record id:number', separated by blanks; '': not read), how: 'claim' | 'adopt', actor: who adopts,
--       seen: the server that the person saw noted before ('' = none): of two people who adopt at once, one does
-- Reply {'ok' | 'other', server, since_ms}: 'other': the ledger belongs to that one, and nothing was written
-- Twice: it writes the same again, with a later time.
-- flags: allow-oom
--- @include "include/clock.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
local account, server, records, how, actor, seen = unpack(ARGV, 1, 6)
local k, now = key('provider', account), int(now_ms())
local was = redis.call('HMGET', k, 'server', 'since_ms')
if was[1] and was[1] ~= server and (how ~= 'adopt' or was[1] ~= seen) then return {'other', was[1], was[2] or '0'} end
if how == 'adopt' or not was[1] then
  redis.call('HSET', k, 'server', server, 'since_ms', now, 'records', records, 'seen_ms', now)
  if how == 'adopt' and was[1] ~= server then note_decision('adopt', account, actor, (was[1] or '') .. ' -> ' .. server) end
  return {'ok', server, now}
end
if records ~= '' then redis.call('HSET', k, 'records', records, 'seen_ms', now) end
return {'ok', server, was[2] or '0'}
