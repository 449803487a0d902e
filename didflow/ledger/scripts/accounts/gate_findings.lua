-- gate_findings: report what keeps an account's gate closed; one event for each new finding.
-- ARGV  account, epoch, findings (JSON object; '' = nothing but time)
-- Reply 'changed' | 'same' | 'stale' (another epoch has begun)
-- Twice: the second run finds them published.
-- flags: allow-oom
--- @include "include/events.lua"
--- @include "include/keys.lua"
--- @include "include/restarts.lua"
local account, epoch, findings = unpack(ARGV, 1, 3)
if notice_restart() ~= epoch then return 'stale' end
local k = key('gate', account)
if (redis.call('HGET', k, 'findings') or '') == findings then return 'same' end
redis.call('HSET', k, 'findings', findings)
if findings ~= '' then
  announce_next('gate:' .. account, 'didflow.ledger.gate_findings.v1', account, findings)
end
return 'changed'
