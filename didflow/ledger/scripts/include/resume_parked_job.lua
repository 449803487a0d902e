-- `actor` lets a parked job resume from its last checkpoint. Its attempts and crashes restart at zero.
--- @include "include/clock.lua"
--- @include "include/events.lua"
--- @include "include/keys.lua"
--- @include "include/nudges.lua"
--- @include "include/states.lua"
--- @include "include/steps.lua"
local function look_again(id, lane, renudge_ms, why, actor)
  local job = job_key(id)
  redis.call('HSET', job, 'attempt', '0', 'crashes', '0', 'crashes_alone', '0', 'deaths', '', 'reason', '', 'result', '', 'finished_ms', '',
    'due_ms', '')
  step(id, '0', 'retried', why, '', '', actor)
  set_state(id, 'needs_review', 'queued')
  emit('events', id, 'queued', '')
  enqueue(id, lane, now_ms(), renudge_ms)
end
