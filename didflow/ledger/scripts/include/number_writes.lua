-- What a job writes of single numbers: `part` has {numbers: {number: text}, answered: [], withdraw: [], settled: [], offer?: {number: record id},
-- parks?: {number: ways}, history?: {number: happened, see tell_history}, confirmed?: see confirm_all, progress?}, see save. `family`, `caller` as route_caller says.
--- @include "include/clock.lua"
--- @include "include/events.lua"
--- @include "include/going.lua"
--- @include "include/histories.lua"
--- @include "include/inventory.lua"
--- @include "include/keys.lua"
--- @include "include/parked_numbers.lua"
--- @include "include/pool.lua"
--- @include "include/route_claims.lua"
-- The outcome of a number, of which the job keeps this JSON; 'open' if it has none yet.
local function outcome_of(text)
  local read, kept = pcall(cjson.decode, text)
  return read and type(kept) == 'table' and type(kept.outcome) == 'string' and kept.outcome or 'open'
end

local function write_numbers(id, account, family, caller, part)
  for _, number in ipairs(part.answered) do
    local route = read_route(account, number)
    if route and route.job == family and route.caller == caller then
      route.open_ms, route.answered_ms = 0, now_ms()
      write_route(account, number, route)
    end
  end
  for number, record_id in pairs(part.offer or {}) do offer(account, number, int(record_id), id) end
  for _, number in ipairs(part.withdraw) do withdraw(account, number, id) end
  for number, ways in pairs(part.parks or {}) do note_ways(id, account, number, ways) end
  for _, number in ipairs(part.settled) do goes_no_more(id, account, number) end
  local told = job_key(family)  -- A batch writes to its parent.
  local outcomes = told .. ':outcomes'
  local counted = redis.call('EXISTS', outcomes) == 1
  for number, text in pairs(part.numbers) do
    if counted then
      local old = redis.call('HGET', told .. ':numbers', number)
      if old then redis.call('HINCRBY', outcomes, outcome_of(old), -1) end
      redis.call('HINCRBY', outcomes, outcome_of(text), 1)
    end
    redis.call('HSET', told .. ':numbers', number, text)
  end
  tell_history(family, part.history)
  confirm_all(account, part.confirmed)
end

-- What people see of how far the job is. Where outcomes are counted, these say it.
local function write_progress(family, progress)
  local told = job_key(family)
  if progress and redis.call('EXISTS', told .. ':outcomes') == 1 then
    local all = redis.call('HLEN', told .. ':numbers')
    progress = int(all - tonumber(redis.call('HGET', told .. ':outcomes', 'open'))) .. ' of ' .. int(all) .. ' numbers'
  end
  if progress and progress ~= redis.call('HGET', told, 'progress') then
    redis.call('HSET', told, 'progress', progress)
    emit('events', family, redis.call('HGET', told, 'state') or 'running', '')
  end
end
