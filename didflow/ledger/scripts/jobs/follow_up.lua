-- follow_up: a running job submits another one that continues where it ends, as job {id}-{name}, with its account, reference and priority.
-- May run when memory is full: it is written before the numbers whose fate it follows, which mustn't wait.
-- ARGV  id, token, name, v, kind, request (JSON), fingerprint, lane, delay_ms
-- Reply 'ok' | 'lost'
-- Twice: a job that is there, ended or not, is left as it is.
-- flags: allow-oom
--- @include "include/follow_ups.lua"
--- @include "include/keys.lua"
--- @include "include/tokens.lua"
local id, token, name = ARGV[1], ARGV[2], ARGV[3]
if not holds(id, token) then return 'lost' end
if redis.call('EXISTS', job_key(id .. '-' .. name)) == 0 then leave_behind(id, name, unpack(ARGV, 4, 9)) end
return 'ok'
