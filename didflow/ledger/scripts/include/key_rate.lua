-- Counts a request against the rate of a key of the HTTP API: how long until the key may send it, ms; 0: it may send this one.
-- The rate is GCRA, in one number for each key: when all requests so far would have been sent at the rate (microseconds). As many requests as
-- the rate allows in a second may come at once.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
local function count_request(id, rate_per_s)
  -- Whole microseconds, in which a double is exact.
  local every_us = math.floor(1000000 / rate_per_s)
  local ahead_us = math.ceil(math.max(1, rate_per_s) * every_us)
  local sent_us = tonumber(redis.call('HGET', key('api_keys', 'sent'), id)) or 0
  -- A later moment than it can be: the clock was set back, or the rate was another one.
  sent_us = math.min(sent_us, now_us() + ahead_us)
  local next_us = math.max(sent_us, now_us()) + every_us
  local wait_us = next_us - ahead_us - now_us()
  if wait_us > 0 then return math.ceil(wait_us / 1000) end
  redis.call('HSET', key('api_keys', 'sent'), id, string.format('%.0f', next_us))
  return 0
end
