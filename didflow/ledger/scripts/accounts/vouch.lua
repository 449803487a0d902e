-- vouch: a worker process misses nothing of what it wrote on the server before; the last of them that says so opens the account's gate.
-- ARGV  account, worker, before (the epoch in which it counted), acked (the count of its writes acknowledged then),
--       after (the epoch that it knows to have followed that one)
-- Reply 'open' (it was) | 'opened' | 'waiting' (for others) | 'lost' (writes are missing: here, or another process reported it)
--       | 'late' (it can't help: there was another restart, of which this server may know nothing, or the gate was closed then)
-- Twice: the second run finds it said.
-- flags: allow-oom
--- @include "include/gates.lua"
--- @include "include/keys.lua"
--- @include "include/restarts.lua"
local account, worker, before, acked = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local epoch, k = notice_restart(), key('gate', ARGV[1])
if not gate_closed(account) then return 'open' end
if epoch ~= ARGV[5] or redis.call('HGET', key('epoch'), 'before') ~= before then return 'late' end
if before ~= '1' and redis.call('HGET', k, 'epoch') ~= before then return 'late' end
if tonumber(redis.call('HGET', key('vouch', 'kept'), worker) or '0') < acked then redis.call('HSET', k, 'lost', epoch) end
if redis.call('HGET', k, 'lost') == epoch then return 'lost' end
redis.call('SADD', key('vouch', 'given'), worker)
if redis.call('SCARD', key('vouch', 'needed')) == 0 or #redis.call('SDIFF', key('vouch', 'needed'), key('vouch', 'given')) > 0 then return 'waiting' end
open_gate(account, epoch)
return 'opened'
