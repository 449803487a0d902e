-- What a job writes of single numbers: `part` has {numbers: {number: text}, answered: [], withdraw: [], settled: [], offer?: {number: record id},
-- parks?: {number: ways}, history?: {number: members}, progress?}, see save. `family`, `caller` as route_caller says.
-- A text inside the JSON can't look like this: its quotes are escaped.
--- @include "include/clock.lua"
--- @include "include/events.lua"
--- @include "include/histories.lua"
--- @include "include/keys.lua"
--- @include "include/parked_numbers.lua"
--- @include "include/reservations.lua"
local function outcome_of(text) return string.match(text, '"outcome":"([%a_]+)"') or 'open' end

local function write_numbers(id, account, family, caller, part)
  for _, number in ipairs(part.answered) do
    local entry = redis.call('HGET', key('routes', account), number) or ''
    local order, routed_by, holder, disturbed_ms = string.match(entry, '^(%d+)|([^|]*)|([^|]*)|%d+|(%d+)|%d+$')
    if routed_by == family and holder == caller then
      redis.call('HSET', key('routes', account), number, table.concat({order, family, caller, '0', disturbed_ms, int(now_ms())}, '|'))
    end
  end
  local offered = key('offered', account)
  for number, record in pairs(part.offer or {}) do redis.call('HSET', offered, number, int(record) .. '|' .. id) end
  for _, number in ipairs(part.withdraw) do
    if string.match(redis.call('HGET', offered, number) or '', '|(.*)$') == id then redis.call('HDEL', offered, number) end
  end
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
