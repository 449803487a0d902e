-- claim: take a due job for one attempt. Raises the token, counts the attempt (so that a crash counts), sets the lease.
-- ARGV  id, worker, lease_ms, probe_ms
-- Reply {'no', why} or {'yes', token, 'probe' | '', job hash as a flat list}
-- `worker` is unique to this claim, so a second run is told the same yes.
-- Twice: the second run finds the lease that the first one set and replies as it did.
local id, worker = ARGV[1], ARGV[2]
local lease_ms, probe_ms = tonumber(ARGV[3]), tonumber(ARGV[4])
local job = job_key(id)
local f = redis.call('HMGET', job, 'state', 'due_ms', 'account', 'attempt')
local state = f[1]
if not state then return {'no', 'gone'} end
if state == 'running' and redis.call('HGET', job, 'owner') == worker then
  return {'yes', redis.call('HGET', job, 'token'), '', redis.call('HGETALL', job)}
end
if state ~= 'queued' and state ~= 'scheduled' and state ~= 'waiting' then return {'no', state} end
local now = now_ms()
if f[2] and f[2] ~= '' and tonumber(f[2]) > now then return {'no', 'early'} end

local account = key('account', f[3] or '')
local pause = redis.call('HMGET', account, 'paused', 'probe_ms')
local probe = ''
if pause[1] == '1' then
  -- One job in a while may try whether the account works again; the others wait for what it finds.
  if tonumber(pause[2]) > now then
    redis.call('SADD', account .. ':held', id)
    redis.call('ZADD', key('due'), pause[2], id)
    redis.call('HSET', job, 'due_ms', pause[2], 'unanswered', '0')
    if state ~= 'waiting' or redis.call('HGET', job, 'reason') ~= 'account_paused' then
      redis.call('HSET', job, 'reason', 'account_paused')
      set_state(id, state, 'waiting')
      emit('events', id, 'waiting', '')
    end
    return {'no', 'account_paused'}
  end
  redis.call('HSET', account, 'probe_ms', int(now + probe_ms))
  probe = 'probe'
end

local token = redis.call('HINCRBY', job, 'token', 1)
redis.call('HINCRBY', job, 'attempt', 1)
redis.call('HSET', job, 'owner', worker, 'lease_ms', int(now + lease_ms), 'due_ms', '', 'reason', '', 'unanswered', '0')
redis.call('HSETNX', job, 'started_ms', int(now))
redis.call('ZADD', key('leases'), int(now + lease_ms), id)
redis.call('ZREM', key('due'), id)
redis.call('SREM', account .. ':held', id)
set_state(id, state, 'running')
emit('events', id, 'running', '')
return {'yes', int(token), probe, redis.call('HGETALL', job)}
