-- chunk: write the next chunk of a large job that goes by routes which were read before it began, or add to it; claim these routes, as `routes`
-- does without a call, and submit the batch that sends the chunk.
-- ARGV  id, token, index (of the chunk), settle_ms (how old the lists may have been), kind of the batch ('' = none is submitted), v, request (JSON),
--       renudge_ms, then number, seen_ms (when its route was read), text (JSON, without an outcome), number, …
-- Reply {'lost'} | {'cancelled'} (the job was: nothing is written) | {'ok', number, …}: those that aren't in the chunk, because the job has them
--       already, or because another job's call may have changed the route since it was read. A chunk without numbers isn't written.
-- Twice: numbers that are in the chunk stay as they are.
--- @include "include/batches.lua"
--- @include "include/keys.lua"
--- @include "include/new_batch.lua"
--- @include "include/records.lua"
--- @include "include/reading.lua"
--- @include "include/route_claims.lua"
--- @include "include/tokens.lua"
local id, token, index, settle_ms, kind = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
if not holds(id, token) then return {'lost'} end
local job = job_key(id)
local f = redis.call('HMGET', job, 'cancel', 'account', 'order')
if f[1] == '1' then return {'cancelled'} end
local account, order = f[2] or '', whole(f[3], 0)
local family, caller = route_caller(id, token)
local there, among = redis.call('HGET', job .. ':pages', index), {}
for number in string.gmatch(there or '', '%S+') do among[number] = true end
local numbers, claimed, kept, texts, left_out = {}, {}, {}, {}, {'ok'}
for i = 9, #ARGV, 3 do numbers[#numbers + 1] = ARGV[i] end
local known = redis.call('HMGET', job .. ':numbers', unpack(numbers))
local entries = redis.call('HMGET', key('routes', account), unpack(numbers))

-- Claims the route, unless a newer job routes the number: that is left to the batch, which reports it. Whether another job's call may have
-- changed it since.
local function claim_seen(number, entry, seen_ms)
  local route = route_to_claim(number, entry)
  if route.order > order then return false end
  local answered_ms = route.answered_ms
  local since_ms, answered_by = claim_route(route, order, family, caller, seen_ms - settle_ms)
  claimed[#claimed + 1], claimed[#claimed + 2] = number, record_text(ROUTE, route)
  return since_ms > 0 and not (answered_by and answered_ms < seen_ms)
end

for place, number in ipairs(numbers) do
  local seen_ms, text = tonumber(ARGV[7 + 3 * place]), ARGV[8 + 3 * place]
  if not among[number] then
    -- One that the job has is claimed, and its batch may be at it: the call of that stays its own, so that its answer counts.
    if known[place] or claim_seen(number, entries[place], seen_ms) then
      left_out[#left_out + 1] = number
    else
      among[number], kept[#kept + 1] = true, number
      texts[#texts + 1], texts[#texts + 2] = number, text
    end
  end
end
if #claimed > 0 then redis.call('HSET', key('routes', account), unpack(claimed)) end
if #kept > 0 then
  redis.call('HSET', job .. ':numbers', unpack(texts))
  redis.call('HINCRBY', job .. ':outcomes', 'open', #kept)
  redis.call('HSET', job .. ':pages', index, (there and there .. ' ' or '') .. table.concat(kept, ' '))
end
if kind ~= '' and (there or #kept > 0) then submit_batch(id, ARGV[6], kind, index, ARGV[7], tonumber(ARGV[8])) end
return left_out
