-- resolve: end a parked job with a person's finding.
-- ARGV  id, token (as it was when the person looked: each attempt raises it), state, result (JSON), event members, retention_ms (as in cancel),
--       taint_ms (what the job holds is bought by none of us for so long), detail, bought (JSON {numbers, usd}: what its open checkout took),
--       history (JSON {number: happened}, see tell_history), actor: who found it out,
--       perhaps a job to leave behind, unless one of that name goes on: name, v, kind, request, fingerprint, lane, delay_ms, see leave_behind
-- Reply {'gone'} | {'resolved'} | {'unchanged', the state that it has, if it isn't parked} | {'parked_again'} (since: the finding is outdated)
-- Twice: the second run finds the result that the first one wrote.
--- @include "include/audited_job.lua"
--- @include "include/clock.lua"
--- @include "include/decided_by.lua"
--- @include "include/ending.lua"
--- @include "include/follow_ups.lua"
--- @include "include/going.lua"
--- @include "include/histories.lua"
--- @include "include/keys.lua"
--- @include "include/reservations.lua"
--- @include "include/retention.lua"
--- @include "include/settling.lua"
--- @include "include/steps.lua"
local id, token, state, result, body, retention_ms, taint_ms, detail = unpack(ARGV, 1, 8)
local job = job_key(id)
local f = redis.call('HMGET', job, 'state', 'result', 'account', 'token')
if not f[1] then return {'gone'} end
if f[1] ~= 'needs_review' then return f[2] == result and {'resolved'} or {'unchanged', f[1]} end
if f[4] ~= token then return {'parked_again'} end
local account, ends = f[3] or '', now_ms() + tonumber(taint_ms)
-- Not bought as far as is known, or ours by now: neither may be bought, whatever an outdated list of the stock shows.
for _, number in ipairs(redis.call('SMEMBERS', job .. ':reserved')) do
  if is_held_by(id, account, number) then keep_reserved(id, account, number, ends) end
end
settle_spend(id, cjson.decode(ARGV[9]), now_ms())
if ARGV[10] and ARGV[10] ~= '' then
  local happened = cjson.decode(ARGV[10])
  tell_history(id, happened)
  for number in pairs(happened) do goes_no_more(id, account, number) end
end
decided_by(id, ARGV[11])
note_job_audit('resolve', ARGV[11], id, detail)
step(id, '0', 'resolved', detail, '', '', ARGV[11])
if ARGV[12] then leave_behind_unless_it_goes_on(id, unpack(ARGV, 12, 18)) end
redis.call('HSET', job, 'reason', '')
conclude(id, state, result, body, workers_retention_ms(retention_ms))
return {'resolved'}
