-- fan_out: submit batches of a running job, which any worker takes. They have their parent's account, lane, priority and order, are in no
-- list of jobs, and emit no events.
-- ARGV  id, token, v, kind, renudge_ms, then index, request (JSON), index, request, …
-- Reply 'ok' | 'lost' | 'cancelled' (the job was cancelled: nothing is begun)
-- Twice: a batch that is there, ended or not, is left as it is.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/nudges.lua"
--- @include "include/states.lua"
--- @include "include/tokens.lua"
local id, token, v, kind, renudge_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local job = job_key(id)
if not holds(id, token) then return 'lost' end
local f = redis.call('HMGET', job, 'cancel', 'account', 'lane', 'priority', 'order')
if f[1] == '1' then return 'cancelled' end
local now = now_ms()
redis.call('HSET', job, 'fanned_out', '1')
for i = 6, #ARGV, 2 do
  local child = id .. ':' .. ARGV[i]
  if redis.call('EXISTS', job_key(child)) == 0 then
    redis.call('HSET', job_key(child), 'v', v, 'kind', kind, 'request', ARGV[i + 1], 'parent', id, 'account', f[2] or '', 'lane', f[3] or 'bulk',
      'priority', f[4] or '5', 'order', f[5] or '0', 'attempt', '0', 'crashes', '0', 'token', '0', 'seq', '0', 'created_ms', int(now), 'reason', '')
    redis.call('SADD', job .. ':children', child)
    set_state(child, false, 'queued')
    enqueue(child, f[3], now, renudge_ms)
  end
end
return 'ok'
