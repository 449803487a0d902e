-- suspend: end an attempt without ending the job: it waits, is returned, or is retried.
-- ARGV  id, token, state ('waiting' | 'queued'), reason, delay_ms, refund ('1': the attempt doesn't count), detail, renudge_ms, calls (see step)
-- Reply 'ok' | 'lost'
-- Twice: the second run finds the job suspended by this token and changes nothing.
-- flags: allow-oom
--- @include "include/batches.lua"
--- @include "include/clock.lua"
--- @include "include/events.lua"
--- @include "include/freezes.lua"
--- @include "include/keys.lua"
--- @include "include/nudges.lua"
--- @include "include/reading.lua"
--- @include "include/states.lua"
--- @include "include/steps.lua"
--- @include "include/tokens.lua"
--- @include "include/wakes.lua"
local id, token, state, reason = unpack(ARGV, 1, 4)
local delay_ms, renudge_ms = tonumber(ARGV[5]), tonumber(ARGV[8])
local job = job_key(id)
local LOOKED = {stock = true, documents = true, grace = true, daily_cap = true}
if not holds(id, token) then
  if redis.call('HGET', job, 'suspended_by') == token then return 'ok' end
  return 'lost'
end
local f = redis.call('HMGET', job, 'account', 'attempt', 'lane', 'emitted_state', 'fanned_out', 'cancel', 'cancel_known', 'parent', 'emitted_reason')
local now = now_ms()
if reason == 'provider_down' then
  redis.call('ZADD', key('rate', f[1] or '', 'down'), f[3] == 'emergency' and 0 or int(now), id)
  -- The breaker may have closed between the job's reply and this call: then no one would wake the job.
  if redis.call('HGET', key('rate', f[1] or ''), 'open') ~= '1' then delay_ms = math.min(delay_ms, 5000) end
end
-- The freeze may have been lifted between the job's reply and this call: then no one would wake the job.
if reason == 'frozen' and not freeze_of(f[1] or '') then delay_ms = 0 end
-- The last batch may have ended while its parent still ran: then nothing else wakes it.
if reason == 'depends' and f[5] and redis.call('SCARD', job .. ':children') == 0 then delay_ms = 0 end
-- Cancelled after the attempt started, which may not have noticed it: another attempt undoes its effects now.
if f[7] ~= '1' and is_called_off(f[6], f[8]) then delay_ms = 0 end
step(id, f[2], state, reason .. (ARGV[7] ~= '' and ': ' .. ARGV[7] or ''), ARGV[9])
if ARGV[6] == '1' then count_up(id, 'attempt', -1) end
-- It checked everything and waits for the world: what failed, and who died, in the weeks before counts no more.
if LOOKED[reason] then redis.call('HSET', job, 'attempt', '0', 'crashes', '0', 'crashes_alone', '0', 'deaths', '') end
redis.call('HSET', job, 'suspended_by', token, 'reason', reason, 'due_ms', int(now + delay_ms), 'owner', '', 'lease_ms', '')
redis.call('ZREM', key('leases'), id)
set_state(id, 'running', state)
if reason == 'frozen' then wait_in(key('frozen', 'held'), id) end
if reason == 'account_paused' then wait_in(key('account', f[1] or '', 'held'), id) end
-- A job that checks every second emits its wait reason once, not every second; see claim.
if f[4] ~= state or f[9] ~= reason then emit('events', id, state, '') end
if delay_ms > 0 then
  look_at(id, f[3], now + delay_ms)
else
  enqueue(id, f[3], now, renudge_ms)
end
return 'ok'
