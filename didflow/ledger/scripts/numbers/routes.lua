-- routes: the newest request per number goes first, whatever the order of execution; who comes next learns which calls may still act.
-- ARGV  id, token, calling ('1': a call that routes these numbers follows; 'park': a release takes them for its countdown),
--       seen_ms (when the caller read their routes), wanted (JSON: the route that they are to have; '' = none),
--       kinds that buy, kinds that give back (in words), number, …
-- Reply {'lost'} or {'ok', {number, …}, {number, disturbed_ms, …}, {number, job, …}, {number, …}}: those for which a newer job exists; when
--       an older job's call for the others was last out without an answer (or answered after seen_ms); of these, those for which all calls
--       were answered, with the job that was; and of the first, those that a release has, which gives them the wanted route if they stay
-- An entry is order|job|token|open_ms|disturbed_ms|answered_ms: open_ms, the holder's call may be out since then (0: none is);
-- disturbed_ms, the newest call of an earlier holder that was never answered; answered_ms, when the holder's last one was.
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
--- @include "include/reading.lua"
--- @include "include/tokens.lua"
local id, token, calling, seen_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if not holds(id, token) then return {'lost'} end
local f = redis.call('HMGET', job_key(id), 'account', 'order', 'kind')
local routes, mine, now = key('routes', f[1] or ''), whole(f[2], 0), int(now_ms())
local family, caller = route_caller(id, token)
local wanted, buying, giving_back, newer, disturbed, lately, noted = ARGV[5], ARGV[6], ARGV[7], {}, {}, {}, {}
local some_parked = redis.call('EXISTS', key('parked', f[1] or '')) == 1
-- A number that was assigned to this job is its own since that moment, whatever was asked of it before.
local handed_out = key('handed_out', f[1] or '')
local reuses = is_one_of(buying, f[3]) and redis.call('EXISTS', handed_out) == 1
local function order_for(number)
  local has, since = string.match(reuses and redis.call('HGET', handed_out, number) or '', '^%d+|([^|]*)|(%d+)$')
  return has == id and math.max(mine, tonumber(since)) or mine
end
-- What a release leaves alone, however old the other job is: a purchase has the number that it was assigned to, or another release counts
-- it down, which alone knows where it was before it was parked.
local gives_back = is_one_of(giving_back, f[3])
local ENDED = {succeeded = true, partial = true, failed = true, cancelled = true, expired = true}
local function is_anothers(number, job)
  if not gives_back then return false end
  local lent_to = string.match(redis.call('HGET', handed_out, number) or '', '^%d+|([^|]*)|')
  if lent_to and redis.call('HGET', key('reserved', f[1] or ''), number) == lent_to .. '|0' then return true end
  if job == '' or job == family then return false end
  local other = redis.call('HMGET', job_key(job), 'kind', 'state')
  return is_one_of(giving_back, other[1]) and other[2] and not ENDED[other[2]]
end
for i = 8, #ARGV do
  local number = ARGV[i]
  local entry = redis.call('HGET', routes, number) or '0|||0|0|0'
  local order, job, holder, open_ms, disturbed_ms, answered_ms = string.match(entry, '^(%d+)|([^|]*)|([^|]*)|(%d+)|(%d+)|(%d+)$')
  local ours = order_for(number)
  if tonumber(order) > ours or is_anothers(number, job) then
    newer[#newer + 1] = number
    if wanted ~= '' and want_route(f[1] or '', number, job, family, ours, wanted) then noted[#noted + 1] = number end
  else
    local unanswered = math.max(tonumber(disturbed_ms), holder == caller and job == family and 0 or tonumber(open_ms))
    if job ~= family and answered_ms ~= '0' and tonumber(answered_ms) >= seen_ms then
      if unanswered == 0 then lately[#lately + 1], lately[#lately + 2] = number, job end
      unanswered = math.max(unanswered, tonumber(answered_ms))
    end
    -- An earlier attempt of this job wants the same route; later jobs must still wait for its call.
    local told = job == family and tonumber(disturbed_ms) or unanswered
    if told > 0 then
      disturbed[#disturbed + 1] = number
      disturbed[#disturbed + 1] = int(told)
    end
    -- A call without an answer isn't repeated, so an open entry of this attempt stays as it is.
    local open = job == family and holder == caller and open_ms or '0'
    if open == '0' and calling == '1' then open = now end
    if calling == 'park' then
      take_parked(id, f[1] or '', number, tonumber(order), job)
    elseif some_parked and calling == '1' and not gives_back then
      forget_left_parked(f[1] or '', number)
    end
    redis.call('HSET', routes, number, table.concat({int(ours), family, caller, open, int(unanswered), answered_ms}, '|'))
  end
end
return {'ok', newer, disturbed, lately, noted}
