-- reuse_take_back: a running purchase gives numbers back that were assigned to it.
-- ARGV  id, token, loans (JSON: {number: loan} of those that a release has, see lend; '' = none),
--       then for each: number, text (JSON, what the job keeps of it)
-- Reply 'ok' | 'lost'
-- Twice: the second run finds them unassigned, or assigned to another job, and leaves them.
-- flags: allow-oom
--- @include "include/histories.lua"
--- @include "include/keys.lua"
--- @include "include/loans.lua"
--- @include "include/pool.lua"
--- @include "include/reservations.lua"
--- @include "include/steps.lua"
--- @include "include/tokens.lua"
local id, token = ARGV[1], ARGV[2]
if not holds(id, token) then return 'lost' end
local job = job_key(id)
local account, happened = redis.call('HGET', job, 'account') or '', {}
local loans = read_loans(ARGV[3])
for i = 4, #ARGV, 2 do
  local number = ARGV[i]
  local handed_out = read_handed_out(account, number)
  redis.call('HSET', job .. ':numbers', number, ARGV[i + 1])
  if handed_out and handed_out.job == id then
    redis.call('HDEL', key('handed_out', account), number)
    if is_held_by(id, account, number) then redis.call('HDEL', key('reserved', account), number) end
    redis.call('SREM', job .. ':reserved', number)
    if loans[number] then end_loan(id, account, number, handed_out.record_id, loans[number]) end
    happened[number] = happening('taken_back')
    step(id, redis.call('HGET', job, 'attempt'), 'taken_back', number)
  end
end
tell_history(id, happened)
return 'ok'
