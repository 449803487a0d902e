-- retry: let a parked job resume from its last checkpoint. Its attempts and crashes restart at zero.
-- ARGV  id, renudge_ms, actor: who says so
-- Reply {'gone'} | {'requeued'} (it is queued) | {'unchanged', the state that it has, if it isn't parked}
-- Twice: the second run finds it queued, or further.
--- @include "include/audited_job.lua"
--- @include "include/decided_by.lua"
--- @include "include/keys.lua"
--- @include "include/resume_parked_job.lua"
local id = ARGV[1]
local job = job_key(id)
local f = redis.call('HMGET', job, 'state', 'lane', 'account', 'parent')
if not f[1] then return {'gone'} end
if f[1] == 'queued' then return {'requeued'} end
-- A batch has ended when it is parked: its parent begins another one.
if f[1] ~= 'needs_review' or f[4] then return {'unchanged', f[1]} end
decided_by(id, ARGV[3])
note_job_audit('retry', ARGV[3], id)
look_again(id, f[2], tonumber(ARGV[2]), 'by a person', ARGV[3])
return {'requeued'}
