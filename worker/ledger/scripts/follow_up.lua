-- follow_up: a running job submits another one that goes on where it ends, as job {id}-{name}, with its account, reference and priority.
-- May run when memory is full: it is written before the numbers whose fate it follows, which mustn't wait.
-- ARGV  id, token, name, v, kind, request (JSON), fingerprint, lane, delay_ms
-- Reply 'ok' | 'lost'
-- Twice: a job that is there, ended or not, is left as it is.
-- flags: allow-oom
local id, token, name, v, kind, request, fingerprint, lane = unpack(ARGV, 1, 8)
if not holds(id, token) then return 'lost' end
local child = id .. '-' .. name
if redis.call('EXISTS', job_key(child)) == 1 then return 'ok' end
local f = redis.call('HMGET', job_key(id), 'account', 'reference', 'priority', 'attempt')
local now = now_ms()
local due = int(now + tonumber(ARGV[9]))
redis.call('HSET', job_key(child), 'v', v, 'kind', kind, 'request', request, 'fp', fingerprint, 'key', '', 'reference', f[2] or '',
  'account', f[1] or '', 'lane', lane, 'priority', f[3] or '5', 'order', int(redis.call('INCR', key('order'))), 'attempt', '0',
  'crashes', '0', 'token', '0', 'seq', '0', 'created_ms', int(now), 'reason', '', 'due_ms', due)
if f[2] and f[2] ~= '' then redis.call('ZADD', key('refs', f[2]), int(now), child) end
set_state(child, false, 'scheduled')
step(child, '0', 'submitted', 'by job ' .. id)
step(id, f[4], 'follow_up', 'job ' .. child)
emit('events', child, 'scheduled', '')
look_at(child, lane, due)
return 'ok'
