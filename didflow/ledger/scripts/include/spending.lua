-- Spending. `usd` is whole ten-thousandths of a USD, exact below 2^53.
-- An open checkout is held in full until it is settled. What it bought counts from the minute of the settlement until the window has
-- passed after that minute's end: from before the money moved until an hour, or a day, after it. So no real hour or day ever has more
-- than its limit; what was spent counts up to a minute, and the time of the settling, longer than it would have to.
--- @include "include/keys.lua"
local MINUTE_MS = 60000
local WINDOWS_MS = {hour = 3600000, day = 86400000}

local function spend_scopes(id)
  local f = redis.call('HMGET', job_key(id), 'account', 'reference')
  local scopes = {account = 'account:' .. (f[1] or '')}
  if f[2] and f[2] ~= '' then scopes.reference = 'reference:' .. f[2] end
  return scopes
end

local function numbers_and_usd(text)
  local numbers, usd = string.match(text or '', '^(%d+)|(%d+)$')
  return tonumber(numbers or 0), tonumber(usd or 0)
end

-- Adds to a sum what a stored pair says.
local function add_pair(sum, text)
  local numbers, usd = numbers_and_usd(text)
  sum.numbers, sum.usd = sum.numbers + numbers, sum.usd + usd
end
