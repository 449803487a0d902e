-- keep_finding: keep a finding about a parked job until a second person confirms it.
-- ARGV  id, token (as in resolve), finding (JSON, with actor), valid_ms, actor, detail: for the audit
-- Reply {'gone'} | {'kept'} | {'unchanged', the state that it has, if it isn't parked} | {'parked_again'} (since: the finding is outdated)
-- Twice: the second run finds the finding that the first one kept.
--- @include "include/audited_job.lua"
--- @include "include/keys.lua"
local id, token, finding, valid_ms, actor, detail = unpack(ARGV)
local job = job_key(id)
local f = redis.call('HMGET', job, 'state', 'token')
if not f[1] then return {'gone'} end
if f[1] ~= 'needs_review' then return {'unchanged', f[1]} end
if f[2] ~= token then return {'parked_again'} end
if redis.call('GET', job .. ':finding') == finding then return {'kept'} end
redis.call('SET', job .. ':finding', finding, 'PX', tonumber(valid_ms))
note_job_audit('propose a finding', actor, id, detail)
return {'kept'}
