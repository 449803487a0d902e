-- admit: may a request to the provider go, and when? Asked before each one, by every worker.
-- ARGV  account, ask (unique to it), 'emergency' | 'other', waited_us (since it got the reply to ask again; 0: it didn't), interval_us,
--       emergency_share, creep, patience_us, probe_us ('0': whatever the breaker says)
-- Reply {'go', wait_us, moment_us, 'probe' | 'watched' | ''}  it has this moment for itself; 'watched': there was trouble lately
--       {'back', wait_us}              ask again then; a new one has a place in the line by now
--       {'limited' | 'down', wait_us}  longer than its patience, or the breaker is open; it has no place
-- Twice: a slot is lost, none is gained; the prober gets the same reply again.
-- flags: allow-oom
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/pace.lua"
local account, ask, lane, waited_us = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local interval_us, share, creep, patience_us, probe_us =
  tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local AHEAD_US = 100000         -- no slot is further away: a Retry-After, or an emergency, comes before all but a few
local GIVING_WAY_US = 20000     -- nor any of the others while there are emergencies, or a little more the longer it has waited
local EMERGENCY_US = 5000000    -- so long there are, after the last call of one
local PROBE_LOOK_US = 1000000   -- while a probe is out the breaker may close any moment
local k, line = key('rate', account), 'line_' .. lane .. '_us'
local now = now_us()
local f = redis.call('HMGET', k, 'last_us', 'others_us', 'emergency_us', line, 'until_us', 'pace', 'cut_us', 'fails', 'open', 'again_us', 'probe_by', 'probe_us')
-- What lies further ahead than it can was written by a clock that has been set back since: that must not stop everybody.
local function us(i, most_ahead)
  local moment = tonumber(f[i] or '') or 0
  return moment <= now + most_ahead and moment or 0
end

local note = (tonumber(f[8] or '') or 0) > 0 and 'watched' or ''
if f[9] == '1' and probe_us > 0 then
  if f[11] == ask then return {'go', '0', f[12], 'probe'} end
  local wait = us(10, 600000000) - now
  if wait > 0 then return {'down', int(f[11] ~= '' and math.min(wait, PROBE_LOOK_US) or wait)} end
  note = 'probe'
end

if lane == 'emergency' then redis.call('HSET', k, 'emergency_us', int(now)) end
local ahead, step = AHEAD_US, math.ceil(interval_us / pace(f[6], f[7], creep, now))
local moment = math.max(now, us(1, 1000000) + step, us(5, 600000000))
if lane ~= 'emergency' and now - us(3, 0) < EMERGENCY_US then
  ahead, step = math.min(AHEAD_US, GIVING_WAY_US + waited_us / 20), math.ceil(step / (1 - share))
  moment = math.max(moment, us(2, 1000000) + step)
end
-- A new caller queues behind those that got the reply to ask again.
local place = waited_us == 0 and math.max(moment, us(4, math.max(60000000, 60 * step)) + step) or moment
local wait = place - now
if wait > ahead then
  if wait > patience_us then return {'limited', int(wait)} end
  if waited_us == 0 then redis.call('HSET', k, line, int(place)) end
  return {'back', int(wait - ahead / 2)}
end
redis.call('HSET', k, 'last_us', int(moment))
if lane ~= 'emergency' then redis.call('HSET', k, 'others_us', int(moment)) end
-- One that dies while it probes must not be waited for for ever.
if note == 'probe' then redis.call('HSET', k, 'probe_by', ask, 'probe_us', int(moment), 'again_us', int(moment + probe_us)) end
return {'go', int(moment - now), int(moment), note}
