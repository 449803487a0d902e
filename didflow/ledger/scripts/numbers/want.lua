-- want: a job asks for routes of numbers that releases have parked: each gets its own if it stays.
-- ARGV  id, token, number, route (JSON), …
-- Reply {'lost'} | {'ok', number, …} those that a release has; the others are where they are
-- Twice: writes the same.
-- flags: allow-oom
--- @include "include/keys.lua"
--- @include "include/parked_numbers.lua"
--- @include "include/reading.lua"
--- @include "include/route_claims.lua"
--- @include "include/states.lua"
--- @include "include/tokens.lua"
local id, token = ARGV[1], ARGV[2]
if not holds(id, token) then return {'lost'} end
local f = redis.call('HMGET', job_key(id), 'account', 'order')
local account, noted = f[1] or '', {'ok'}
for i = 3, #ARGV, 2 do
  local number, route = ARGV[i], ARGV[i + 1]
  local holder = read_route(account, number)
  local state = holder and redis.call('HGET', job_key(holder.job), 'state')
  -- A release that has ended gives no number its route any more.
  if state and not OVER[state] and want_route(account, number, holder.job, id, whole(f[2], 0), route) then noted[#noted + 1] = number end
end
return noted
