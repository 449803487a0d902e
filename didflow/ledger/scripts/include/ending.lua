-- Ends the job, or parks it: state, stored result and the one event on the results stream, together. `token`: of the attempt that ends it;
-- `rows`: how many parts of its result it has written.
--- @include "include/batches.lua"
--- @include "include/clock.lua"
--- @include "include/counts.lua"
--- @include "include/events.lua"
--- @include "include/job_reservations.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
--- @include "include/settling.lua"
--- @include "include/shared_writes.lua"
--- @include "include/states.lua"
--- @include "include/waiting.lua"
local function conclude(id, state, result, body, retention_ms, token, rows)
  local job = job_key(id)
  local now = now_ms()
  local f = redis.call('HMGET', job, 'kind', 'reason', 'account', 'reference', 'key', 'attempt', 'created_ms', 'started_ms', 'finished_ms',
    'progress', 'seq', 'parent', 'actor', 'decided_by', 'traceparent', 'tracestate', 'state', 'not_before_ms')
  local account, parent, old = f[3] or '', f[12], f[17]
  f[2], f[9] = token and '' or f[2], int(now)
  local fields = {tell_event('results', id, f, state, body)}
  for _, one in ipairs(token and {'ended_by', token, 'rows', rows} or {}) do fields[#fields + 1] = one end
  redis.call('HSET', job, 'state', state, 'reason', f[2] or '', 'finished_ms', int(now), 'result', result, 'due_ms', '', 'owner', '', 'lease_ms', '',
    unpack(fields))
  local due, began = math.max(whole(f[7], now), whole(f[18], 0)), whole(f[8], 0)
  local ran = token and began > 0
  count_end(f[1], state, ran and math.max(0, began - due) or nil, ran and math.max(0, now - began) or nil)
  list_under(id, parent, f[7], old, state)
  remove_from(key('leases'), id)
  remove_from(key('due'), id)
  if old ~= 'running' then wait_no_more(id, account) end
  redis.call('SREM', key('open', account), id)
  if state ~= 'needs_review' then
    give_up_reservations(id, account)
    settle_unsettled(id, account, now)
    if redis.call('EXISTS', job .. ':children') == 1 then call_off_batches(id) end
  end
  -- A batch isn't parked: its parent says what is open.
  if state ~= 'needs_review' or parent then add_to(key('retention'), int(now + retention_ms), id) end
  if parent then leave_parent(id, parent) end
end
