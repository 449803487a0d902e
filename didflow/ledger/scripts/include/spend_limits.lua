-- What counts in a scope now: {hour, day, held: {numbers, usd}, minutes: oldest first, each with when it ends, old: fields that count no more}.
-- `hour` and `day` are without what is held.
--- @include "include/keys.lua"
--- @include "include/records.lua"
--- @include "include/spending.lua"
local HELD = {'numbers', 'number', 'usd', 'number', 'since_ms', 'number'}

local function spending(scope, now)
  local s = {held = {numbers = 0, usd = 0}, hour = {numbers = 0, usd = 0}, day = {numbers = 0, usd = 0}, minutes = {}, old = {}}
  local flat = redis.call('HGETALL', key('spent', scope))
  for i = 1, #flat, 2 do
    local minute = {ends = (tonumber(flat[i]) + 1) * MINUTE_MS, numbers = 0, usd = 0}
    add_spend(minute, flat[i + 1])
    for window, span in pairs(WINDOWS_MS) do
      if minute.ends + span > now then add_spend(s[window], flat[i + 1]) end
    end
    if minute.ends + WINDOWS_MS.day > now then
      s.minutes[#s.minutes + 1] = minute
    else
      s.old[#s.old + 1] = flat[i]
    end
  end
  table.sort(s.minutes, function(one, other) return one.ends < other.ends end)
  for _, text in ipairs(redis.call('HVALS', key('held', scope))) do add_spend(s.held, text) end
  return s
end

-- In how many ms the window will have let go of `missing`; math.huge if that depends on open checkouts.
local function frees_in(s, limit, missing, now)
  for _, minute in ipairs(s.minutes) do
    local leaves = minute.ends + WINDOWS_MS[limit.window] - now
    if leaves > 0 then missing = missing - minute[limit.unit] end
    if missing <= 0 then return leaves end
  end
  return math.huge
end

-- The limit that keeps the job from spending {numbers, usd, limits: [{scope, unit, window, most}, …]} for longest, as a reply; nil if all
-- of them allow it: {'limit', scope, unit, window, most, used, held, frees in ms | ''}
local function limit_against(id, spend, now)
  local scopes, books, longest, reply = spend_scopes(id), {}, -1, nil
  for _, limit in ipairs(spend.limits) do
    local scope = scopes[limit.scope]
    if scope then
      books[scope] = books[scope] or spending(scope, now)
      local s = books[scope]
      local held = s.held[limit.unit]
      local used = s[limit.window][limit.unit] + held
      local missing = used + spend[limit.unit] - limit.most
      if missing > 0 then
        local frees = frees_in(s, limit, missing, now)
        if frees > longest then
          longest = frees
          reply = {'limit', scope, limit.unit, limit.window, int(limit.most), int(used), int(held), frees == math.huge and '' or int(frees)}
        end
      end
    end
  end
  return reply
end

-- Holds what the job's checkout may cost, and forgets what has left all windows.
local function hold_spend(id, spend, now)
  for _, scope in pairs(spend_scopes(id)) do
    for _, minute in ipairs(spending(scope, now).old) do redis.call('HDEL', key('spent', scope), minute) end
    local before = read_record(HELD, redis.call('HGET', key('held', scope), id))
    local held = {numbers = spend.numbers, usd = spend.usd, since_ms = before and before.since_ms or now}
    redis.call('HSET', key('held', scope), id, record_text(HELD, held))
    redis.call('ZADD', key('spent_until'), int(now + WINDOWS_MS.day + MINUTE_MS), scope)
  end
end
