-- Reservations of a job, many at once.
--- @include "include/holders.lua"
--- @include "include/keys.lua"
--- @include "include/members.lua"
--- @include "include/reservations.lua"
-- Lists of numbers go to the server in parts that fit on Lua's stack: a purchase has up to a thousand, and one call for each would keep
-- everybody else waiting.
local function in_parts(numbers, act)
  local TOGETHER = 1000
  for first = 1, #numbers, TOGETHER do act({unpack(numbers, first, math.min(first + TOGETHER - 1, #numbers))}) end
end

local function keep_all_reserved(id, account, numbers, until_ms)
  local text, ends = reservation(id, until_ms), int(until_ms)
  in_parts(numbers, function(some)
    local reservations, times = {}, {}
    for _, number in ipairs(some) do
      reservations[#reservations + 1], reservations[#reservations + 2] = number, text
      times[#times + 1], times[#times + 2] = ends, member_of(account, number)
    end
    redis.call('HSET', key('reserved', account), unpack(reservations))
    redis.call('ZADD', key('reserved_until'), unpack(times))
  end)
end

-- Reserves them for as long as the job holds them.
local function reserve_all(id, account, numbers)
  local text = reservation(id, 0)
  in_parts(numbers, function(some)
    local reservations = {}
    for _, number in ipairs(some) do reservations[#reservations + 1], reservations[#reservations + 2] = number, text end
    redis.call('HSET', key('reserved', account), unpack(reservations))
    redis.call('SADD', job_key(id) .. ':reserved', unpack(some))
  end)
end

-- Those of them that another job, or this job's own taint, keeps now.
local function taken_of(id, account, numbers, now)
  local taken, ours = {}, reservation(id, 0)
  in_parts(numbers, function(some)
    for place, text in ipairs(redis.call('HMGET', key('reserved', account), unpack(some))) do
      if text ~= ours and is_in_force(text, now) then taken[#taken + 1] = some[place] end
    end
  end)
  return taken
end

-- Drops the reservations that the job holds on these, and no other.
local function drop_reserved(id, account, numbers)
  local held = reservation(id, 0)
  in_parts(numbers, function(some)
    local ours = {}
    for place, text in ipairs(redis.call('HMGET', key('reserved', account), unpack(some))) do
      if text == held then ours[#ours + 1] = some[place] end
    end
    if #ours > 0 then redis.call('HDEL', key('reserved', account), unpack(ours)) end
  end)
end

-- Gives up what the job holds; tainted numbers stay reserved until their time.
local function give_up_reservations(id, account)
  local held = redis.call('SMEMBERS', job_key(id) .. ':reserved')
  if #held == 0 then return end
  if redis.call('EXISTS', key('handed_out', account)) == 1 then
    for _, number in ipairs(held) do note_reused(id, account, number) end
  end
  drop_reserved(id, account, held)
  redis.call('DEL', job_key(id) .. ':reserved')
end
