-- spending: what scopes have used of their windows.
-- ARGV  how many of the scopes that spent last to return, then scopes, … that are always returned
-- Reply for each {scope, hour numbers, hour usd, day numbers, day usd, held numbers, held usd, id of an open job, …}; hour and day
--       have what is held. Those requested come first.
-- Twice: it writes nothing.
-- flags: no-writes
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/spend_limits.lua"
local now, replies, told = now_ms(), {}, {}

local function tell(scope)
  if told[scope] then return end
  told[scope] = true
  local s = spending(scope, now)
  local reply = {scope}
  for _, sum in ipairs({s.hour, s.day}) do
    reply[#reply + 1] = int(sum.numbers + s.held.numbers)
    reply[#reply + 1] = int(sum.usd + s.held.usd)
  end
  reply[6], reply[7] = int(s.held.numbers), int(s.held.usd)
  for _, id in ipairs(redis.call('HKEYS', key('held', scope))) do reply[#reply + 1] = id end
  replies[#replies + 1] = reply
end

for i = 2, #ARGV do tell(ARGV[i]) end
local count = tonumber(ARGV[1])
if count > 0 then
  for _, scope in ipairs(redis.call('ZREVRANGE', key('spent_until'), 0, count - 1)) do tell(scope) end
end
return replies
