-- Keeps a number from every job until that moment, also when this one has ended.
--- @include "include/holders.lua"
--- @include "include/keys.lua"
--- @include "include/states.lua"
local function keep_reserved(id, account, number, until_ms)
  redis.call('HSET', key('reserved', account), number, id .. '|' .. int(until_ms))
  redis.call('ZADD', key('reserved_until'), int(until_ms), account .. '|' .. number)
end

-- Lists of numbers go to the server in parts that fit on Lua's stack: a purchase has up to a thousand, and one call for each would keep
-- everybody else waiting.
local function in_parts(numbers, act)
  local TOGETHER = 1000
  for first = 1, #numbers, TOGETHER do act({unpack(numbers, first, math.min(first + TOGETHER - 1, #numbers))}) end
end

local function keep_all_reserved(id, account, numbers, until_ms)
  in_parts(numbers, function(some)
    local holders, times = {}, {}
    for _, number in ipairs(some) do
      holders[#holders + 1], holders[#holders + 2] = number, id .. '|' .. int(until_ms)
      times[#times + 1], times[#times + 2] = int(until_ms), account .. '|' .. number
    end
    redis.call('HSET', key('reserved', account), unpack(holders))
    redis.call('ZADD', key('reserved_until'), unpack(times))
  end)
end

-- Reserves them for as long as the job holds them.
local function reserve_all(id, account, numbers)
  in_parts(numbers, function(some)
    local holders = {}
    for _, number in ipairs(some) do holders[#holders + 1], holders[#holders + 2] = number, id .. '|0' end
    redis.call('HSET', key('reserved', account), unpack(holders))
    redis.call('SADD', job_key(id) .. ':reserved', unpack(some))
  end)
end

-- Those of them that another job, or this job's own taint, keeps now.
local function taken_of(id, account, numbers, now)
  local taken = {}
  in_parts(numbers, function(some)
    for place, entry in ipairs(redis.call('HMGET', key('reserved', account), unpack(some))) do
      local holder, until_ms = string.match(entry or '', '^(.*)|(%d+)$')
      local live = holder and (until_ms == '0' or tonumber(until_ms) > now)
      if live and not (holder == id and until_ms == '0') then taken[#taken + 1] = some[place] end
    end
  end)
  return taken
end

-- Drops the reservations that the job holds on these, and no other.
local function drop_reserved(id, account, numbers)
  in_parts(numbers, function(some)
    local ours = {}
    for place, entry in ipairs(redis.call('HMGET', key('reserved', account), unpack(some))) do
      if entry == id .. '|0' then ours[#ours + 1] = some[place] end
    end
    if #ours > 0 then redis.call('HDEL', key('reserved', account), unpack(ours)) end
  end)
end

-- Whether a release may have this number under way. Its mark holds until the release is settled, however long that takes.
local function may_be_going(account, number)
  local release = redis.call('HGET', key('going', account), number)
  if not release then return false end
  local state = redis.call('HGET', job_key(release), 'state')
  if state and not OVER[state] then return true end
  redis.call('HDEL', key('going', account), number)
  return false
end

-- The release has settled what became of the number, or has sent nothing.
local function goes_no_more(id, account, number)
  if redis.call('HGET', key('going', account), number) == id then redis.call('HDEL', key('going', account), number) end
end

-- Gives up what the job holds; tainted numbers stay reserved until their time.
local function give_up_reservations(id, account)
  local held = redis.call('SMEMBERS', job_key(id) .. ':reserved')
  if redis.call('EXISTS', key('handed_out', account)) == 1 then
    for _, number in ipairs(held) do note_reused(id, account, number) end
  end
  drop_reserved(id, account, held)
  if #held > 0 then redis.call('DEL', job_key(id) .. ':reserved') end
end
