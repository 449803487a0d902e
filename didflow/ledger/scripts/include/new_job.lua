-- Writes a new job, lists it and puts it on its queue. '' for what it hasn't. `not_before` in ms, 0: now. Returns its state.
--- @include "include/audit.lua"
--- @include "include/clock.lua"
--- @include "include/events.lua"
--- @include "include/incidents.lua"
--- @include "include/keys.lua"
--- @include "include/nudges.lua"
--- @include "include/reading.lua"
--- @include "include/restarts.lua"
--- @include "include/states.lua"
local function create_job(id, v, kind, request, fingerprint, idem, reference, account, lane, priority, not_before, renudge_ms, incident, actor, traceparent,
  tracestate)
  local now = now_ms()
  if redis.call('EXISTS', key('order')) == 0 then notice_restart() end
  local state = not_before > now and 'scheduled' or 'queued'
  local order = redis.call('INCR', key('order'))
  local sent = state == 'queued' and '1' or '0'
  -- One write: what events and nudges leave in the hash is known beforehand.
  redis.call('HSET', job_key(id), 'v', v, 'kind', kind, 'request', request, 'fp', fingerprint, 'key', idem, 'reference', reference,
    'account', account, 'lane', lane, 'priority', priority, 'order', int(order), 'attempt', '0', 'crashes', '0', 'token', '0',
    'created_ms', int(now), 'reason', '', 'state', state, 'nudges', sent, 'unanswered', sent, 'actor', actor,
    tell_event('events', id, {kind, '', account, reference, idem, '0', int(now), false, false, false, '0', false, actor, false, traceparent, tracestate},
      state, ''))
  if traceparent ~= '' then redis.call('HSET', job_key(id), 'traceparent', traceparent) end
  if tracestate ~= '' then redis.call('HSET', job_key(id), 'tracestate', tracestate) end
  if incident ~= '' then list_under_incident(incident, id, now) end
  if idem ~= '' then redis.call('HSET', key('keys'), idem, id) end
  if reference ~= '' then redis.call('ZADD', key('refs', reference), int(now), id) end
  list_under(id, false, int(now), false, state)
  if state == 'queued' then
    look_at(id, lane, now + renudge_ms)
    send_message(id, kind, lane, 1, priority, '0')
  else
    redis.call('HSET', job_key(id), 'due_ms', int(not_before), 'not_before_ms', int(not_before))
    look_at(id, lane, not_before)
  end
  note_audit('submit', actor, '{"job":' .. json(id) .. ',"kind":' .. json(kind) .. ',"account":' .. json(account) .. ',"reference":' .. json(reference) .. '}')
  return state
end
