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
--- @include "include/records.lua"
--- @include "include/route_claims.lua"
-- The outcome of a number, of which the job keeps this JSON; 'open' if it has none yet.
local function outcome_of(text)
  local read, kept = pcall(cjson.decode, text)
  return read and type(kept) == 'table' and type(kept.outcome) == 'string' and kept.outcome or 'open'
end

-- The entries of a hash for these names, and setting them, with one command for many: each takes a microsecond or two beside its work.
local TOGETHER = 500
local function hash_of(hash, names)
  local found = {}
  for first = 1, #names, TOGETHER do
    local some = {unpack(names, first, math.min(first + TOGETHER - 1, #names))}
    for place, text in ipairs(redis.call('HMGET', hash, unpack(some))) do found[some[place]] = text end
  end
  return found
end

-- `pairs_of`: name, text, name, text, …
local function set_in_hash(hash, pairs_of)
  for first = 1, #pairs_of, 2 * TOGETHER do
    redis.call('HSET', hash, unpack(pairs_of, first, math.min(first + 2 * TOGETHER - 1, #pairs_of)))
  end
end

local function note_answered(account, family, caller, numbers)
  local answered, entries = {}, hash_of(key('routes', account), numbers)
  for _, number in ipairs(numbers) do
    local route = read_record(ROUTE, entries[number])
    if route and route.job == family and route.caller == caller then
      route.open_ms, route.answered_ms = 0, now_ms()
      answered[#answered + 1], answered[#answered + 2] = number, record_text(ROUTE, route)
    end
  end
  set_in_hash(key('routes', account), answered)
end

-- Stores what the job keeps of each number. Where outcomes are counted, it counts them.
local function keep_numbers(job, texts)
  local names, written, counts = {}, {}, {}
  for number, text in pairs(texts) do
    names[#names + 1] = number
    written[#written + 1], written[#written + 2] = number, text
  end
  if redis.call('EXISTS', job .. ':outcomes') == 1 then
    local before = hash_of(job .. ':numbers', names)
    for number, text in pairs(texts) do
      local new, old = outcome_of(text), before[number] and outcome_of(before[number])
      counts[new] = (counts[new] or 0) + 1
      if old then counts[old] = (counts[old] or 0) - 1 end
    end
    for outcome, count in pairs(counts) do
      if count ~= 0 then redis.call('HINCRBY', job .. ':outcomes', outcome, count) end
    end
  end
  set_in_hash(job .. ':numbers', written)
end

local function write_numbers(id, account, family, caller, part)
  note_answered(account, family, caller, part.answered)
  for number, record_id in pairs(part.offer or {}) do offer(account, number, int(record_id), id) end
  for _, number in ipairs(part.withdraw) do withdraw(account, number, id) end
  for number, ways in pairs(part.parks or {}) do note_ways(id, account, number, ways) end
  for _, number in ipairs(part.settled) do goes_no_more(id, account, number) end
  keep_numbers(job_key(family), part.numbers)  -- A batch writes to its parent.
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
