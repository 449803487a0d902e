-- emit: what a running job detected about numbers: stored, and emitted on the events stream, in one step.
-- ARGV  id, token, then for each: number, text (JSON, what the job keeps of it), event type ('' = none), event data (JSON)
-- Reply 'lost' | how many of them were new
-- Twice: the second run finds each number's text and emits nothing.
-- flags: allow-oom
--- @include "include/clock.lua"
--- @include "include/events.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
--- @include "include/tokens.lua"
local id, token = ARGV[1], ARGV[2]
if not holds(id, token) then return 'lost' end
local numbers, new = job_key(id) .. ':numbers', 0
for i = 3, #ARGV, 4 do
  local number, text, kind, data = unpack(ARGV, i, i + 3)
  if redis.call('HGET', numbers, number) ~= text then
    redis.call('HSET', numbers, number, text)
    if kind ~= '' then announce(id .. ':' .. int(count_up(id, 'seq', 1, now_ms())), kind, number, data) end
    new = new + 1
  end
end
return int(new)
