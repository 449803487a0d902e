-- save: one write of a running attempt, all or nothing. May run when memory is full: a money call that is out must be written down.
-- ARGV  id, token, write (counts the attempt's writes), taint_ms, JSON {step, detail, calls?, witness? (see step), phase?, memo?, progress?,
--       numbers: {number: text}, reserve: [], taint: [], free: [], keep: [], answered: [],
--       hold?: {numbers, usd, limits: [{scope, unit, window, most}, …]} what a checkout may cost, held before it is sent,
--       settle?: {numbers, usd} what it bought: the rest of the hold is given back,
--       settled: [] (numbers of a release with nothing under way any more),
--       parks?: {number: ways} of numbers that it parks, see include/parked_numbers.lua,
--       unpark?: {number: the wanted order that it knows of; -1: any} what it is done with,
--       withdraw: [] (numbers that aren't to be handed out any more), offer?: {number: record id} that may be from now on,
--       clear? (replace the numbers and their pages), replace? (the numbers alone), pages?: {index: numbers, in words},
--       history?: {number: what happened to it, see tell_history}, confirmed? (what was read back of numbers, see confirm_all), unless_cancelled? (a cancel that came before this write stops it),
--       staged? (count of its parts stored already, see stage: they are committed now, and applied by `apply`),
--       money? (it may move once this is written), unsettled? (whether a purchase is open after it)}, worker ('' = none), life (see alive)
-- Reply {'ok'} or, where numbers are bound or money may move, {'ok', count, epoch} (see count_write) | {'lost'} | {'taken', number, …} | {'closed'} (no money may move now: nothing was written) | {'frozen', record, whose ('' = of all)} (the same, by a freeze) | {'wanted', number, …}
--       (another route was requested for a number that it wants to end: nothing was written) | {'cancelled'} (nothing was written)
--       | {'limit', …} as limit_against says: a limit would be exceeded, and nothing is written
-- Twice: the second run has the write count of the first and changes nothing.
-- flags: allow-oom
--- @include "include/batches.lua"
--- @include "include/clock.lua"
--- @include "include/freezes.lua"
--- @include "include/gates.lua"
--- @include "include/job_reservations.lua"
--- @include "include/keys.lua"
--- @include "include/number_writes.lua"
--- @include "include/parked_numbers.lua"
--- @include "include/reading.lua"
--- @include "include/settling.lua"
--- @include "include/spend_limits.lua"
--- @include "include/steps.lua"
--- @include "include/tokens.lua"
--- @include "include/vouching.lua"
local id, token, write = ARGV[1], ARGV[2], tonumber(ARGV[3])
local taint_ms, body = tonumber(ARGV[4]), cjson.decode(ARGV[5])
local job = job_key(id)
if not holds(id, token) then return {'lost'} end
local f = redis.call('HMGET', job, 'account', 'attempt', 'wrote_token', 'wrote')
-- What nothing may come after that isn't known to be kept.
local function ok()
  if (ARGV[6] or '') == '' or not (body.money or #body.reserve > 0) then return {'ok'} end
  return {'ok', unpack(count_write(ARGV[6]))}
end
if f[3] == token and whole(f[4], 0) >= write then return ok() end
if body.unless_cancelled and redis.call('HGET', job, 'cancel') == '1' then return {'cancelled'} end
-- What this write consists of was written before it, in parts: all of them, or this write can't be made.
if body.staged and redis.call('LLEN', job .. ':staged') ~= body.staged then return {'lost'} end
if body.money and gate_closed(f[1]) then return {'closed'} end
if (ARGV[6] or '') ~= '' and (body.money or #body.reserve > 0) and not is_witnessed(ARGV[6], ARGV[7]) then return {'closed'} end

if body.money then
  local freeze, whose = freeze_of(f[1])
  if freeze then return {'frozen', freeze, whose} end
end

local now = now_ms()
local taken = taken_of(id, f[1], body.reserve, now)
if #taken > 0 then return {'taken', unpack(taken)} end
local wanted = {'wanted'}
for number, known in pairs(body.unpark or {}) do
  local parked = read_parked(f[1], number)
  if known >= 0 and parked and parked.release_job == id and parked.wanted_order ~= known then wanted[#wanted + 1] = number end
end
if #wanted > 1 then return wanted end
local reached = body.hold and limit_against(id, body.hold, now)
if reached then return reached end

reserve_all(id, f[1], body.reserve)
keep_all_reserved(id, f[1], body.taint, now + taint_ms)
in_parts(body.taint, function(some) redis.call('SADD', key('strays', f[1]), unpack(some)) end)
keep_all_reserved(id, f[1], body.keep, now + taint_ms)
drop_reserved(id, f[1], body.free)
in_parts(body.free, function(some) redis.call('SREM', job .. ':reserved', unpack(some)) end)
for number in pairs(body.unpark or {}) do give_up_parked(id, f[1], number) end
if body.hold then hold_spend(id, body.hold, now) end
if body.settle then settle_spend(id, body.settle, now) end
local family, caller = route_caller(id, token)
if body.clear then
  -- UNLINK: what they held is freed later, by another thread.
  redis.call('UNLINK', job_key(family) .. ':numbers', job_key(family) .. ':pages', job_key(family) .. ':outcomes')
  redis.call('HSET', job_key(family) .. ':outcomes', 'open', '0')
end
if body.replace then redis.call('UNLINK', job_key(family) .. ':numbers') end
for index, numbers in pairs(body.pages or {}) do redis.call('HSET', job_key(family) .. ':pages', index, numbers) end
write_numbers(id, f[1], family, caller, body)
if body.phase then redis.call('HSET', job, 'phase', body.phase) end
if body.unsettled ~= nil then redis.call(body.unsettled and 'SADD' or 'SREM', key('open', f[1]), id) end
if body.memo then redis.call('HSET', job, 'memo', body.memo) end
-- As long as this is the last write, the call behind it may be under way: see `sending`.
redis.call('HSET', job, 'wrote_token', token, 'wrote', int(write), 'sending', body.money and token or '')
step(id, f[2], body.step, body.detail, body.calls, body.witness)
if body.staged then redis.call('HSET', job, 'staged', '1') end
write_progress(family, body.progress)
return ok()
