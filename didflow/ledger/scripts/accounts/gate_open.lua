-- gate_open: let an account's money calls through again, and wake the jobs that waited.
-- ARGV  account, epoch (in which everything was accounted for)
-- Reply 'changed' | 'same' | 'stale' (another epoch has begun: check again) | 'unsettled' (a purchase is open)
-- Twice: the second run finds it open.
-- flags: allow-oom
--- @include "include/gates.lua"
--- @include "include/keys.lua"
--- @include "include/restarts.lua"
local account, epoch = ARGV[1], ARGV[2]
if notice_restart() ~= epoch then return 'stale' end
if not gate_closed(account) then return 'same' end
if redis.call('SCARD', key('open', account)) > 0 then return 'unsettled' end
open_gate(account, epoch)
return 'changed'
