-- Spending. `usd` is whole ten-thousandths of a USD, exact below 2^53.
-- An open checkout is held in full until it is settled. What it bought counts from the minute of the settlement until the window has
-- passed after that minute's end: from before the money moved until an hour, or a day, after it. So no real hour or day ever has more
-- than its limit; what was spent counts up to a minute, and the time of the settling, longer than it would have to.
--- @include "include/keys.lua"
--- @include "include/records.lua"
local MINUTE_MS = 60000
local WINDOWS_MS = {hour = 3600000, day = 86400000}

local function spend_scopes(id)
  local f = redis.call('HMGET', job_key(id), 'account', 'reference')
  local scopes = {account = 'account:' .. (f[1] or '')}
  if f[2] and f[2] ~= '' then scopes.reference = 'reference:' .. f[2] end
  return scopes
end

local SPEND = {'numbers', 'number', 'usd', 'number'}

local function spend_text(spend) return record_text(SPEND, spend) end

-- Adds what a stored spend says.
local function add_spend(sum, text)
  local spend = read_record(SPEND, text)
  if spend then sum.numbers, sum.usd = sum.numbers + spend.numbers, sum.usd + spend.usd end
end
