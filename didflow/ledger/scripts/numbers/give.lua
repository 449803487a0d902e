-- give: a person says that this number was bought by that purchase: it is kept by it and counts.
-- ARGV  job id, number, JSON (what the job keeps of a number that is its own), what its history tells (JSON, see tell_history), actor: who says so,
--       perhaps a job to leave behind, unless one of that name goes on: name, v, kind, request, fingerprint, lane, delay_ms, see leave_behind
-- Reply {'given'} | {'gone'} | {'unchanged', the state that it has, if it runs or has ended}
-- Twice: the second run writes the same.
--- @include "include/decided_by.lua"
--- @include "include/follow_ups.lua"
--- @include "include/histories.lua"
--- @include "include/keys.lua"
--- @include "include/steps.lua"
local id, number, text = ARGV[1], ARGV[2], ARGV[3]
local job = job_key(id)
local f = redis.call('HMGET', job, 'state', 'phase')
if not f[1] then return {'gone'} end
if redis.call('HGET', job .. ':numbers', number) == text then return {'given'} end
-- An attempt that runs has read its numbers already.
if f[1] ~= 'queued' and f[1] ~= 'waiting' and f[1] ~= 'scheduled' then return {'unchanged', f[1]} end
redis.call('HSET', job .. ':numbers', number, text)
-- It isn't a job any more that has done nothing: cancelled, it has this number to report.
if not f[2] or f[2] == '' then redis.call('HSET', job, 'phase', 'new') end
tell_history(id, {[number] = cjson.decode(ARGV[4])})
decided_by(id, ARGV[5])
step(id, '0', 'given', number .. ' by a person', '', '', ARGV[5])
if ARGV[6] then leave_behind_unless_it_goes_on(id, unpack(ARGV, 6, 12)) end
return {'given'}
