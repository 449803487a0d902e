-- cancel: call a job off.
-- ARGV  id, retention_ms (used until a worker has set its own), actor: who cancels it, kinds that release numbers (in words)
-- A parked release runs once more, to end: numbers that it has parked get their routes back, and a later retry releases nothing.
-- Reply {'gone'} | {'cancelled'} (it has ended so) | {'requested'} (a worker will end it)
--       | {'unchanged', the state in which it has ended or is parked}
-- Twice: the second run finds the job cancelled, or sets the same flag.
--- @include "include/audited_job.lua"
--- @include "include/batches.lua"
--- @include "include/clock.lua"
--- @include "include/decided_by.lua"
--- @include "include/ending.lua"
--- @include "include/keys.lua"
--- @include "include/kinds.lua"
--- @include "include/nudges.lua"
--- @include "include/resume_parked_job.lua"
--- @include "include/retention.lua"
--- @include "include/steps.lua"
local id = ARGV[1]
local job = job_key(id)
local actor = ARGV[3] or ''
local f = redis.call('HMGET', job, 'state', 'phase', 'lane', 'kind', 'cancel')
local state = f[1]
if not state then return {'gone'} end
if state == 'needs_review' and is_one_of(ARGV[4], f[4]) then
  redis.call('HSET', job, 'cancel', '1')
  decided_by(id, actor)
  note_job_audit('cancel', actor, id)
  look_again(id, f[3], 15000, 'called off', actor)
  return {'requested'}
end
if state == 'cancelled' then return {'cancelled'} end
if state ~= 'scheduled' and state ~= 'queued' and state ~= 'waiting' and state ~= 'running' then return {'unchanged', state} end
if state ~= 'running' and (not f[2] or f[2] == '') then
  decided_by(id, actor)
  note_job_audit('cancel', actor, id)
  step(id, '0', 'cancelled', 'before it began', '', '', actor)
  conclude(id, 'cancelled', '', '"numbers":[]', workers_retention_ms(ARGV[2]))
  return {'cancelled'}
end
if f[5] ~= '1' and actor ~= '' then
  decided_by(id, actor)
  note_job_audit('cancel', actor, id)
  step(id, '0', 'called_off', '', '', '', actor)
end
redis.call('HSET', job, 'cancel', '1')
for _, child in ipairs(call_off_batches(id)) do
  local c = redis.call('HMGET', job_key(child), 'state', 'phase', 'lane')
  redis.call('HSET', job_key(child), 'cancel', '1')
  if c[1] ~= 'running' and (not c[2] or c[2] == '') then
    conclude(child, 'cancelled', '', '', workers_retention_ms(ARGV[2]))
  elseif c[1] ~= 'running' then
    redis.call('HSET', job_key(child), 'due_ms', '')
    enqueue(child, c[3], now_ms(), 15000)
  end
end
if state ~= 'running' then
  redis.call('HSET', job, 'due_ms', '')
  enqueue(id, f[3], now_ms(), 15000)
end
return {'requested'}
