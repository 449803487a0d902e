-- count_releases: let records go, as many as the account may give back in a day (UTC). Counted before they go, so that no two jobs go over it.
-- ARGV  id, token, most, record id, …
-- Reply {'ok', ms until the next day, record id, … (those that may go)} | {'lost'}
-- Twice: what is counted already is let go and not counted again.
-- flags: allow-oom
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/tokens.lua"
local id, token, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
if not holds(id, token) then return {'lost'} end
local DAY_MS = 86400000
local now = now_ms()
local day = math.floor(now / DAY_MS)
local counted = key('given_back', redis.call('HGET', job_key(id), 'account') or '', int(day))
local count = redis.call('SCARD', counted)
local reply = {'ok', int((day + 1) * DAY_MS - now)}
for i = 4, #ARGV do
  if redis.call('SISMEMBER', counted, ARGV[i]) == 1 then
    reply[#reply + 1] = ARGV[i]
  elseif count < most then
    redis.call('SADD', counted, ARGV[i])
    count = count + 1
    reply[#reply + 1] = ARGV[i]
  end
end
redis.call('PEXPIRE', counted, int(2 * DAY_MS))
return reply
