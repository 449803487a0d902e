-- sweep: heal what the broker lost and what died. Correct however many run.
-- ARGV  batch, renudge_ms, max_crashes, retry_ms, retention_ms
-- Reply {nudged, recovered, parked, deleted}
-- Twice: the second run finds less to do.
-- flags: allow-oom
local batch, renudge_ms, max_crashes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local retry_ms, retention_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
local now = now_ms()
notice_restart()
-- What is written before this moment, and only that, is known to be kept if the server loses its last writes.
if now - tonumber(redis.call('HGET', key('epoch'), 'alive_ms') or '0') >= 5000 then redis.call('HSET', key('epoch'), 'alive_ms', int(now)) end
local nudged, recovered, parked, deleted = 0, 0, 0, 0

for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('due'), '-inf', int(now), 'LIMIT', 0, batch)) do
  local f = redis.call('HMGET', job_key(id), 'state', 'lane', 'unanswered', 'nudges')
  if f[1] == 'queued' or f[1] == 'waiting' or f[1] == 'scheduled' then
    if f[1] == 'scheduled' then
      set_state(id, 'scheduled', 'queued')
      emit('events', id, 'queued', '')
    end
    -- In a backlog the message is there and only waits its turn: look less often each time, until somebody claims the job. A message
    -- that is still there after the third look may be held by a broker that forgot it.
    local again_ms = math.min(renudge_ms * 2 ^ math.min(tonumber(f[3] or '0'), 10), 600000)
    if tonumber(f[3] or '0') % 4 ~= 0 and has_message(id, f[2], f[4]) then
      redis.call('HINCRBY', job_key(id), 'unanswered', 1)
      redis.call('ZADD', key('due'), int(now + again_ms), id)
    else
      enqueue(id, f[2], now, again_ms)
      nudged = nudged + 1
    end
  else
    redis.call('ZREM', key('due'), id)
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', int(now), 'LIMIT', 0, batch)) do
  local job = job_key(id)
  local f = redis.call('HMGET', job, 'state', 'lane', 'attempt', 'owner')
  if f[1] ~= 'running' then
    redis.call('ZREM', key('leases'), id)
  else
    local crashes = redis.call('HINCRBY', job, 'crashes', 1)
    redis.call('HINCRBY', job, 'token', 1)  -- from here the dead attempt can write nothing, if it isn't dead
    step(id, f[3], 'lease_expired', f[4] or '')
    if crashes >= max_crashes then
      local error = '{"code":"too_many_crashes","message":"' .. int(crashes)
        .. ' workers died while they ran this job: see `didflow explain` and their logs","retryable":false}'
      redis.call('HSET', job, 'reason', 'too_many_crashes')
      conclude(id, 'needs_review', '{"totals":{"requested":0,"done":0},"error":' .. error .. '}', '"numbers":[],"error":' .. error, retention_ms)
      parked = parked + 1
    else
      redis.call('ZREM', key('leases'), id)
      redis.call('HSET', job, 'owner', '', 'lease_ms', '', 'reason', 'retry')
      set_state(id, 'running', 'queued')
      emit('events', id, 'queued', '')
      local delay = (crashes - 1) * retry_ms
      if delay > 0 then
        redis.call('HSET', job, 'due_ms', int(now + delay))
        redis.call('ZADD', key('due'), int(now + delay), id)
      else
        enqueue(id, f[2], now, renudge_ms)
      end
      recovered = recovered + 1
    end
  end
end

for _, member in ipairs(redis.call('ZRANGEBYSCORE', key('reserved_until'), '-inf', int(now), 'LIMIT', 0, batch)) do
  local account, number = string.match(member, '^(.*)|([^|]*)$')
  local until_ms = string.match(redis.call('HGET', key('reserved', account), number) or '', '|(%d+)$')
  if until_ms and until_ms ~= '0' and tonumber(until_ms) <= now then redis.call('HDEL', key('reserved', account), number) end
  redis.call('SREM', key('strays', account), number)
  redis.call('ZREM', key('reserved_until'), member)
end

for _, scope in ipairs(redis.call('ZRANGEBYSCORE', key('spent_until'), '-inf', int(now), 'LIMIT', 0, batch)) do
  redis.call('DEL', key('spent', scope))
  if redis.call('EXISTS', key('held', scope)) == 1 then
    redis.call('ZADD', key('spent_until'), int(now + WINDOWS_MS.hour), scope)  -- A parked job: the scope is still to be shown.
  else
    redis.call('ZREM', key('spent_until'), scope)
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('retention'), '-inf', int(now), 'LIMIT', 0, batch)) do
  local job = job_key(id)
  local f = redis.call('HMGET', job, 'state', 'key', 'reference')
  if f[1] then redis.call('ZREM', key('state', f[1]), id) end
  if f[2] and f[2] ~= '' and redis.call('HGET', key('keys'), f[2]) == id then redis.call('HDEL', key('keys'), f[2]) end
  if f[3] and f[3] ~= '' then redis.call('ZREM', key('refs', f[3]), id) end
  redis.call('DEL', job, job .. ':numbers', job .. ':pages', job .. ':outcomes', job .. ':children', job .. ':steps', job .. ':reserved')
  redis.call('ZREM', key('retention'), id)
  deleted = deleted + 1
end
return {nudged, recovered, parked, deleted}
