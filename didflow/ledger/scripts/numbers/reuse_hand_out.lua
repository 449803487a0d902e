-- reuse_hand_out: give numbers of ours to a running purchase, before it buys any. Each goes to one job for as long as the account has
-- that purchase of the number, unless it is given back; what another job has reserved, or a release may have under way, isn't assigned.
-- ARGV  id, token, loans (JSON: {number: loan} of those that a release has, see lend; '' = none),
--       then for each: number, record id, text (JSON, what the job keeps of it)
-- Reply {'lost'} | {'ok', number, …} those that are this job's
-- Twice: the second run finds them this job's and replies the same.
-- flags: allow-oom
--- @include "include/clock.lua"
--- @include "include/going.lua"
--- @include "include/histories.lua"
--- @include "include/job_reservations.lua"
--- @include "include/keys.lua"
--- @include "include/loans.lua"
--- @include "include/pool.lua"
--- @include "include/reservations.lua"
--- @include "include/steps.lua"
--- @include "include/tokens.lua"
local id, token = ARGV[1], ARGV[2]
if not holds(id, token) then return {'lost'} end
local job, now = job_key(id), now_ms()
local f = redis.call('HMGET', job, 'account', 'phase')
local account = f[1] or ''
local granted, happened, order = {'ok'}, {}, nil
local loans = read_loans(ARGV[3])
for i = 4, #ARGV, 3 do
  local number, record_id, text = unpack(ARGV, i, i + 2)
  local had = read_handed_out(account, number)
  if had and had.record_id == record_id and had.job == id then
    granted[#granted + 1] = number
  elseif not (had and had.record_id == record_id) and not is_in_force(redis.call('HGET', key('reserved', account), number), now)
    and not may_be_going(account, number) and (not loans[number] or lend(id, account, number, loans[number])) then
    -- From among the submits' own numbers: a release that was submitted before this has a smaller one, see quarantine.
    order = order or redis.call('INCR', key('order'))
    write_handed_out(account, number, record_id, id, order)
    reserve_all(id, account, {number})
    redis.call('HSET', job .. ':numbers', number, text)
    happened[number] = happening('handed_out', record_id)
    granted[#granted + 1] = number
  end
end
-- It isn't a job any more that has done nothing: cancelled, it has to give these back.
if #granted > 1 and (not f[2] or f[2] == '') then redis.call('HSET', job, 'phase', 'new') end
if order then step(id, redis.call('HGET', job, 'attempt'), 'handed_out', #granted - 1 .. ' numbers of ours') end
tell_history(id, happened)
return granted
