-- claim: take a due job for one attempt, for a process that runs nothing else meanwhile.
-- ARGV  id, claimant (unique to this claim), lease_ms, probe_ms, version, runs_behind_gate
--       (the last two as claim_job says)
-- Reply as claim_job says
-- Twice: the second run finds the lease that the first one set and replies as it did.
--- @include "include/claiming.lua"
--- @include "include/restarts.lua"
return claim_job(ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], notice_restart(), true)
