-- webhook_settle: write down what an attempt led to, and let the job's next event follow, or this one wait.
-- flags: allow-oom
-- ARGV  endpoint, key, message, claim that took it, outcome (delivered, retried, given_up; returned: nothing was sent; lost: it is no message of
--       ours, and goes; skipped: the filters leave it out, and it goes), ms until it is tried again, ms for which the endpoint asked to be
--       left alone, reason for which the endpoint is disabled ('' = it isn't), record for the log, taken_ms: when it was taken
-- Reply 'ok' | 'lost': the lease has ended and another process has it, or the endpoint is gone
-- Twice: the second run finds no lease of that claim.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
--- @include "include/webhooks.lua"
local id, job, message, claim, outcome, delay_ms, pause_ms, disabled, record, taken_ms = unpack(ARGV, 1, 10)
local now, k = now_ms(), webhook_key(id)
local token, of, attempt, first_ms = string.match(redis.call('HGET', webhook_key(id, 'heads'), job) or '', '^(%S+) (%S+) (%d+) (%d+)$')
if token ~= claim or of ~= message then return 'lost' end

-- Where the URL was changed meanwhile, this answer was another receiver's: it says nothing of the endpoint as it is now. A failure from before
-- it was enabled doesn't either.
local f = redis.call('HMGET', k, 'url_ms', 'changed_ms')
local is_of_other_url = tonumber(taken_ms) <= whole(f[1], -1)
local is_outdated = is_of_other_url or tonumber(taken_ms) < whole(f[2], -1)
if is_outdated then delay_ms, pause_ms, disabled = 0, 0, '' end
if is_outdated and outcome == 'given_up' then outcome = 'retried' end

local next_ms = ''
if outcome ~= 'retried' and outcome ~= 'returned' then
  unqueue_message(id, job, message)
else
  if outcome == 'returned' then attempt = int(tonumber(attempt) - 1) end
  next_ms = int(now + tonumber(delay_ms))
  redis.call('HSET', webhook_key(id, 'heads'), job, '- ' .. message .. ' ' .. attempt .. ' ' .. first_ms)
  redis.call('ZREM', webhook_key(id, 'leases'), job)
  redis.call('ZADD', webhook_key(id, 'due'), next_ms, job)
end
if outcome == 'returned' then return 'ok' end
if outcome == 'skipped' then
  redis.call('HINCRBY', k, 'count_skipped', 1)
  return 'ok'
end
if outcome == 'lost' then
  note_missed(id, 1)
  log_attempt(id, outcome, record, '')
  return 'ok'
end
if outcome == 'delivered' then
  if not is_of_other_url then redis.call('HSET', k, 'delivered_ms', int(now), 'failing_ms', '', 'paused_ms', '') end
elseif not is_outdated and (redis.call('HGET', k, 'failing_ms') or '') == '' then
  redis.call('HSET', k, 'failing_ms', int(now))
end
if tonumber(pause_ms) > 0 then redis.call('HSET', k, 'paused_ms', int(now + tonumber(pause_ms))) end
log_attempt(id, outcome, record, next_ms)
if disabled ~= '' and redis.call('HGET', k, 'state') == 'enabled' then set_endpoint_state(id, 'disabled', disabled) end
return 'ok'
