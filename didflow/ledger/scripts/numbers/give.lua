-- give: a person says that this number was bought by that purchase: it is kept by it and counts. Of several such decisions one is made.
-- ARGV  job id, number, record id, quantity (most that the job may keep), JSON (what the job keeps of a number that is its own),
--       what its history tells (JSON, see tell_history), actor: who says so, taint_ms (for so long no other job may bind it),
--       perhaps a job to leave behind, unless one of that name goes on: name, v, kind, request, fingerprint, lane, delay_ms, see leave_behind
-- Reply {'given'} | {'gone'} | {'unchanged', the state that it has, if it runs or has ended} | {'full', how many it keeps}
--       | {'decided', the other job that has it, or will; '' = it was accepted as no job's} | {'reserved', the job that has reserved it}
-- Twice: the second run finds it given.
--- @include "include/audited_job.lua"
--- @include "include/clock.lua"
--- @include "include/decided_by.lua"
--- @include "include/follow_ups.lua"
--- @include "include/gifts.lua"
--- @include "include/histories.lua"
--- @include "include/keys.lua"
--- @include "include/records.lua"
--- @include "include/reservations.lua"
--- @include "include/steps.lua"
local id, number, record, quantity, text = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local job = job_key(id)
local f = redis.call('HMGET', job, 'state', 'phase', 'account')
if not f[1] then return {'gone'} end
local account, now = f[3] or '', now_ms()
local decided, is_done = purchase_decided(account, number, record)
if decided == id and is_done then return {'given'} end
if decided and decided ~= id then return {'decided', decided} end
if is_accepted(account, record) then return {'decided', ''} end
-- An attempt that runs has read its numbers already.
if f[1] ~= 'queued' and f[1] ~= 'waiting' and f[1] ~= 'scheduled' then return {'unchanged', f[1]} end
local reserved = redis.call('HGET', key('reserved', account), number)
if reserved and is_in_force(reserved, now) then
  local found = read_record(RESERVATION, reserved)
  -- A taint is the mark of a job that gave the number up, which a person may now contradict.
  if not found or found.holder ~= id and found.until_ms == 0 then return {'reserved', found and found.holder or ''} end
end
local kept = 0
local items = redis.call('HGETALL', job .. ':numbers')
for i = 1, #items, 2 do
  local read, item = pcall(cjson.decode, items[i + 1])
  if items[i] ~= number and read and type(item) == 'table' and item.status == 'kept' then kept = kept + 1 end
end
if kept >= quantity then return {'full', int(kept)} end
redis.call('HSET', job .. ':numbers', number, text)
redis.call('HSET', key('gate', account, 'given'), number, record_text(GIVEN, {record_id = record, job = id}))
redis.call('HDEL', key('gate', account, 'gifts'), number)
-- The gate needn't wait for it any more, and is checked at once.
redis.call('SADD', key('gate', account, 'accepted'), int(record))
-- Whatever an outdated list of the stock shows.
keep_reserved(id, account, number, now + tonumber(ARGV[8]))
-- It isn't a job any more that has done nothing: cancelled, it has this number to report.
if not f[2] or f[2] == '' then redis.call('HSET', job, 'phase', 'new') end
tell_history(id, {[number] = cjson.decode(ARGV[6])})
decided_by(id, ARGV[7])
note_job_audit('give', ARGV[7], id, number)
step(id, '0', 'given', number .. ' by a person', '', '', ARGV[7])
if ARGV[9] then leave_behind_unless_it_goes_on(id, unpack(ARGV, 9, 15)) end
return {'given'}
