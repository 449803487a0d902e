-- routes: the newest request per number goes first, whatever the order of execution; who comes next learns which calls may still act.
-- ARGV  id, token, calling ('1': a call that routes these numbers follows; 'park': a release takes them for its countdown),
--       seen_ms (when the caller read their routes), wanted (JSON: the route that they are to have; '' = none),
--       kinds that buy, kinds that give back (in words), number, …
-- Reply {'lost'} or {'ok', {number, …}, {number, disturbed_ms, …}, {number, job, …}, {number, …}}: those for which a newer job exists; when
--       an older job's call for the others was last out without an answer (or answered after seen_ms); of these, those for which all calls
--       were answered, with the job that was; and of the first, those that a release has, which gives them the wanted route if they stay
-- The entries are those of include/route_claims.lua.
-- While a release has a number its order is the release's. What it was before is kept with what is parked, and is so again when the number
-- stays: the release only borrowed it, and an older job that hasn't ended may route it then.
-- A batch is its parent here, with the parent's order; its attempts have names of their own in the place of the token.
-- Twice: a job is never newer than itself, and what disturbed it the first time is in its entry; the second reply doesn't name it.
-- flags: allow-oom
--- @include "include/batches.lua"
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/kinds.lua"
--- @include "include/parked_numbers.lua"
--- @include "include/pool.lua"
--- @include "include/reading.lua"
--- @include "include/reservations.lua"
--- @include "include/route_claims.lua"
--- @include "include/states.lua"
--- @include "include/tokens.lua"
local id, token, calling, seen_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if not holds(id, token) then return {'lost'} end
local f = redis.call('HMGET', job_key(id), 'account', 'order', 'kind')
local account, mine, now = f[1] or '', whole(f[2], 0), now_ms()
local family, caller = route_caller(id, token)
local wanted, buying, giving_back, newer, disturbed, lately, noted = ARGV[5], ARGV[6], ARGV[7], {}, {}, {}, {}
local some_parked = redis.call('EXISTS', key('parked', account)) == 1
-- A number that was assigned to this job is its own since that moment, whatever was asked of it before.
local reuses = is_one_of(buying, f[3]) and redis.call('EXISTS', key('handed_out', account)) == 1
local function order_for(number)
  local handed_out = reuses and read_handed_out(account, number)
  return handed_out and handed_out.job == id and math.max(mine, handed_out.order) or mine
end
-- What a release leaves alone, however old the other job is: a purchase has the number that it was assigned to, or another release counts
-- it down, which alone knows where it was before it was parked.
local gives_back = is_one_of(giving_back, f[3])
local function is_anothers(number, job)
  if not gives_back then return false end
  local handed_out = read_handed_out(account, number)
  if handed_out and is_held_by(handed_out.job, account, number) then return true end
  if job == '' or job == family then return false end
  local other = redis.call('HMGET', job_key(job), 'kind', 'state')
  return is_one_of(giving_back, other[1]) and other[2] and not OVER[other[2]]
end
for i = 8, #ARGV do
  local number = ARGV[i]
  local route = route_to_claim(number, redis.call('HGET', key('routes', account), number))
  local was, job, ours = route.order, route.job, order_for(number)
  if was > ours or is_anothers(number, job) then
    newer[#newer + 1] = number
    if wanted ~= '' and want_route(account, number, job, family, ours, wanted) then noted[#noted + 1] = number end
  else
    local since_ms, answered_by = claim_route(route, ours, family, caller, seen_ms)
    if answered_by then lately[#lately + 1], lately[#lately + 2] = number, answered_by end
    if since_ms > 0 then
      disturbed[#disturbed + 1] = number
      disturbed[#disturbed + 1] = int(since_ms)
    end
    if route.open_ms == 0 and calling == '1' then route.open_ms = now end
    if calling == 'park' then
      take_parked(id, account, number, was, job)
    elseif some_parked and calling == '1' and not gives_back then
      forget_left_parked(account, number)
    end
    write_route(account, number, route)
  end
end
return {'ok', newer, disturbed, lately, noted}
