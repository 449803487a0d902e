-- report: how a request to the provider went: any trouble, and a success where `admit` requested it.
-- ARGV  account, moment_us (which request), 'limited' | 'down' | 'fine', words, pause_us (after 'limited'), creep, floor,
--       failures, window_us, first_us, last_us, spread (by which a pause is multiplied, so that accounts differ)
-- Reply 'same' | 'slowed' | 'opened' (also: again) | 'closed'
-- Twice: the second run finds this request's moment behind what the first one wrote. (A failure counts twice if another one's came between.)
-- flags: allow-oom
--- @include "include/accounts.lua"
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/nudges.lua"
--- @include "include/pace.lua"
local account, moment, heard, words = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local pause_us, creep, floor = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local failures, window_us, first_us, last_us, spread =
  tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local k = key('rate', account)
local now = now_us()
local f = redis.call('HMGET', k, 'open', 'probe_us', 'opened_us', 'fails', 'failed_us', 'failing_us', 'opens', 'until_us', 'pace', 'cut_us')
local function num(i) return tonumber(f[i] or '') or 0 end

-- Jobs that wait for the provider go on, emergencies first, and not all at once. Those beyond the first go on when they are due, which
-- is half a minute later at most.
local function wake()
  local WOKEN, APART_MS = 100, 50
  for place, id in ipairs(redis.call('ZRANGE', k .. ':down', 0, WOKEN - 1)) do
    local job = redis.call('HMGET', job_key(id), 'state', 'reason', 'due_ms')
    local due_ms = math.floor(now / 1000) + (place - 1) * APART_MS
    if job[1] == 'waiting' and job[2] == 'provider_down' and (tonumber(job[3] or '') or 0) > due_ms then
      redis.call('HSET', job_key(id), 'due_ms', int(due_ms), 'unanswered', '0')
      look_at(id, redis.call('HGET', job_key(id), 'lane'), due_ms)
    end
    redis.call('ZREM', k .. ':down', id)
  end
end

local open = f[1] == '1'
local probe = open and num(2) == moment
local reply = 'same'

if heard == 'limited' then
  redis.call('HSET', k, 'until_us', int(math.max(num(8), now + pause_us)), 'limit_words', words)
  -- Once for all that was sent before the last pause ended: eight threads that are refused at once are one refusal.
  if moment >= num(8) then
    redis.call('HSET', k, 'pace', string.format('%.4f', math.max(floor, pace(f[9], f[10], creep, now) / 2)), 'cut_us', int(now))
    reply = 'slowed'
  end
end

if heard == 'down' then
  -- What was sent before the breaker opened says nothing new.
  if (open and not probe) or moment <= num(3) or moment == num(5) then return 'same' end
  local fails, failing_us = num(4) + 1, num(6)
  if fails == 1 or (now - failing_us > window_us and not probe) then fails, failing_us = 1, now end
  redis.call('HSET', k, 'fails', int(fails), 'failing_us', int(failing_us), 'failed_us', int(moment), 'words', words)
  if not probe and fails < failures then return 'same' end
  local opens = num(7) + 1
  local pause = math.min(last_us, first_us * 2 ^ math.min(opens - 1, 20)) * spread
  redis.call('HSET', k, 'open', '1', 'opens', int(opens), 'opened_us', int(now), 'again_us', int(now + pause), 'probe_by', '', 'probe_us', '')
  if not open then
    redis.call('HSET', k, 'since_us', int(now))
    emit_account(account, 'breaker_opened', '', words)
  end
  return 'opened'
end

-- Refused for its rate, or done: the provider is reachable.
if probe then
  redis.call('HSET', k, 'open', '', 'opens', '0', 'fails', '0', 'probe_by', '', 'probe_us', '')
  emit_account(account, 'breaker_closed', '', '')
  wake()
  return 'closed'
end
if not open and num(4) > 0 and moment > num(5) then redis.call('HSET', k, 'fails', '0') end
return reply
