-- reuse_hand_out: give numbers of ours to a running purchase, before it buys any. Each goes to one job for as long as the account has
-- that purchase of the number, unless it is given back; what another job has reserved, or a release may have under way, isn't assigned.
-- ARGV  id, token, loans (JSON: {number: loan} of those that a release has, see lend; '' = none),
--       then for each: number, record id, text (JSON, what the job keeps of it)
-- Reply {'lost'} | {'ok', number, …} those that are this job's
-- Twice: the second run finds them this job's and replies the same.
-- flags: allow-oom
--- @include "include/clock.lua"
--- @include "include/histories.lua"
--- @include "include/keys.lua"
--- @include "include/loans.lua"
--- @include "include/reservations.lua"
--- @include "include/steps.lua"
--- @include "include/tokens.lua"
local id, token = ARGV[1], ARGV[2]
if not holds(id, token) then return {'lost'} end
local job, now = job_key(id), now_ms()
local f = redis.call('HMGET', job, 'account', 'phase')
local handed_out, reserved = key('handed_out', f[1] or ''), key('reserved', f[1] or '')
local granted, happened, order = {'ok'}, {}, nil
local loans = read_loans(ARGV[3])
for i = 4, #ARGV, 3 do
  local number, record, text = unpack(ARGV, i, i + 2)
  local had, has = string.match(redis.call('HGET', handed_out, number) or '', '^(%d+)|([^|]*)|')
  local holder, until_ms = string.match(redis.call('HGET', reserved, number) or '', '^(.*)|(%d+)$')
  local live = holder and (until_ms == '0' or tonumber(until_ms) > now)
  if had == record and has == id then
    granted[#granted + 1] = number
  elseif had ~= record and not live and not may_be_going(f[1] or '', number) and (not loans[number] or lend(id, f[1] or '', number, loans[number])) then
    -- From among the submits' own numbers: a release that was submitted before this has a smaller one, see quarantine.
    order = order or int(redis.call('INCR', key('order')))
    redis.call('HSET', handed_out, number, record .. '|' .. id .. '|' .. order)
    redis.call('HSET', reserved, number, id .. '|0')
    redis.call('SADD', job .. ':reserved', number)
    redis.call('HSET', job .. ':numbers', number, text)
    happened[number] = '"what":"handed_out","record_id":' .. int(tonumber(record))
    granted[#granted + 1] = number
  end
end
-- It isn't a job any more that has done nothing: cancelled, it has to give these back.
if #granted > 1 and (not f[2] or f[2] == '') then redis.call('HSET', job, 'phase', 'new') end
if order then step(id, redis.call('HGET', job, 'attempt'), 'handed_out', #granted - 1 .. ' numbers of ours') end
tell_history(id, happened)
return granted
