-- A job that continues where another one ends, as job {id}-{name}, with its account, reference and priority.
--- @include "include/clock.lua"
--- @include "include/events.lua"
--- @include "include/keys.lua"
--- @include "include/nudges.lua"
--- @include "include/states.lua"
--- @include "include/steps.lua"
local function leave_behind(id, name, v, kind, request, fingerprint, lane, delay_ms)
  local child = id .. '-' .. name
  local f = redis.call('HMGET', job_key(id), 'account', 'reference', 'priority', 'attempt', 'decided_by', 'actor', 'traceparent',
    'tracestate')
  local now = now_ms()
  local due = int(now + tonumber(delay_ms))
  redis.call('HSET', job_key(child), 'v', v, 'kind', kind, 'request', request, 'fp', fingerprint, 'key', '', 'reference', f[2] or '',
    'account', f[1] or '', 'lane', lane, 'priority', f[3] or '5', 'order', int(redis.call('INCR', key('order'))), 'attempt', '0',
    'crashes', '0', 'token', '0', 'seq', '0', 'created_ms', int(now), 'reason', '', 'due_ms', due, 'actor', f[5] or f[6] or '')
  if f[7] then redis.call('HSET', job_key(child), 'traceparent', f[7]) end
  if f[8] then redis.call('HSET', job_key(child), 'tracestate', f[8]) end
  if f[2] and f[2] ~= '' then redis.call('ZADD', key('refs', f[2]), int(now), child) end
  set_state(child, false, 'scheduled')
  step(child, '0', 'submitted', 'by job ' .. id)
  step(id, f[4], 'follow_up', 'job ' .. child)
  emit('events', child, 'scheduled', '')
  look_at(child, lane, due)
end

-- The same unless one of that name is running; where it has ended, as job {id}-{name}-again.
local function leave_behind_unless_it_goes_on(id, name, ...)
  local state = redis.call('HGET', job_key(id .. '-' .. name), 'state')
  if OVER[state] then name = name .. '-again' end
  if not state or OVER[state] and redis.call('EXISTS', job_key(id .. '-' .. name)) == 0 then leave_behind(id, name, ...) end
end
