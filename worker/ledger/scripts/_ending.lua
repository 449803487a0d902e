-- Ends the job, or parks it: state, stored result and the one event on the results stream, together.
local function conclude(id, state, result, body, retention_ms)
  local job = job_key(id)
  local f = redis.call('HMGET', job, 'state', 'account', 'parent')
  local account = f[2] or ''
  local now = now_ms()
  redis.call('HSET', job, 'finished_ms', int(now), 'result', result, 'due_ms', '', 'owner', '', 'lease_ms', '')
  set_state(id, f[1], state)
  redis.call('ZREM', key('leases'), id)
  redis.call('ZREM', key('due'), id)
  if f[1] ~= 'running' then wait_no_more(id, account) end
  redis.call('SREM', key('open', account), id)
  if state ~= 'needs_review' then
    give_up_reservations(id, account)
    settle_unsettled(id, now)
    for _, child in ipairs(redis.call('SMEMBERS', job .. ':children')) do redis.call('HSET', job_key(child), 'cancel', '1') end
  end
  -- A batch isn't parked: its parent says what is open.
  if state ~= 'needs_review' or f[3] then redis.call('ZADD', key('retention'), int(now + retention_ms), id) end
  if f[3] then leave_parent(id, f[3]) end
  emit('results', id, state, body)
end
