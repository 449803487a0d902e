-- history_forget: forget the histories of numbers that aren't ours for long enough.
-- ARGV  batch, kept_ms (since the number went)
-- Reply how many were forgotten
-- Twice: the second run finds none, or the next.
-- flags: allow-oom
--- @include "include/clock.lua"
--- @include "include/keys.lua"
local numbers = redis.call('ZRANGEBYSCORE', key('history', 'gone'), '-inf', int(now_ms() - tonumber(ARGV[2])), 'LIMIT', 0, ARGV[1])
for _, number in ipairs(numbers) do
  redis.call('DEL', key('history', number))
  redis.call('HDEL', key('history'), number)
  redis.call('ZREM', key('history', 'gone'), number)
end
return #numbers
