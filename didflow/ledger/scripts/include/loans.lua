-- What a purchase borrows of releases in their grace periods. A loan is {release_job, kept (what it keeps of the number), lent (what it
-- keeps of it once that is lent)}, both as text.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/nudges.lua"
--- @include "include/pool.lua"
--- @include "include/steps.lua"
local function read_loans(text) return text ~= '' and cjson.decode(text) or {} end

-- Lends the number, if its release waits, isn't cancelled, and holds it exactly as the borrower read it. The release reads it again when it resumes.
local function lend(id, account, number, loan)
  local l = redis.call('HMGET', job_key(loan.release_job), 'state', 'reason', 'cancel', 'account')
  local waits = l[1] == 'waiting' and l[2] == 'grace' and l[3] ~= '1' and l[4] == account
  local numbers = job_key(loan.release_job) .. ':numbers'
  if not waits or redis.call('HGET', numbers, number) ~= loan.kept then return false end
  redis.call('HSET', numbers, number, loan.lent)
  redis.call('HDEL', key('offered', account), number)
  step(loan.release_job, '0', 'lent', number .. ' to job ' .. id)
  return true
end

-- Returns it. Its release has waited for that; it is woken, and decides again about the number. Until then other jobs may borrow it.
local function end_loan(id, account, number, record_id, loan)
  local numbers = job_key(loan.release_job) .. ':numbers'
  if redis.call('HGET', numbers, number) ~= loan.lent then return end
  redis.call('HSET', numbers, number, loan.kept)
  offer(account, number, record_id, loan.release_job)
  step(loan.release_job, '0', 'lent_no_more', number .. ' to job ' .. id)
  local l = redis.call('HMGET', job_key(loan.release_job), 'state', 'lane')
  if l[1] == 'waiting' then
    redis.call('HSET', job_key(loan.release_job), 'due_ms', '')
    enqueue(loan.release_job, l[2], now_ms(), 15000)
  end
end
