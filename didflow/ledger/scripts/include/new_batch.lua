-- Submits a batch of a running job: a job that has its parent's account, lane, priority and order. One that is there is left as it is.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/nudges.lua"
--- @include "include/states.lua"
local function submit_batch(parent, v, kind, index, request, renudge_ms)
  local job, child, now = job_key(parent), parent .. ':' .. index, now_ms()
  redis.call('HSET', job, 'fanned_out', '1')
  if redis.call('EXISTS', job_key(child)) == 1 then return end
  local f = redis.call('HMGET', job, 'account', 'lane', 'priority', 'order')
  redis.call('HSET', job_key(child), 'v', v, 'kind', kind, 'request', request, 'parent', parent, 'account', f[1] or '', 'lane', f[2] or 'bulk',
    'priority', f[3] or '5', 'order', f[4] or '0', 'attempt', '0', 'crashes', '0', 'token', '0', 'seq', '0', 'created_ms', int(now), 'reason', '')
  redis.call('SADD', job .. ':children', child)
  set_state(child, false, 'queued')
  enqueue(child, f[2], now, renudge_ms)
end
