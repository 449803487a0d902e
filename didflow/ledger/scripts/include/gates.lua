-- Whether money calls of this account wait until lost writes are accounted for.
--- @include "include/events.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
--- @include "include/wakes.lua"
local function gate_closed_in(number, account)
  return number ~= '1' and (not number or redis.call('HGET', key('gate', account), 'epoch') ~= number)
end

local function gate_closed(account) return gate_closed_in(redis.call('HGET', key('epoch'), 'number'), account) end

-- Lets the account's money calls through again, and wakes the jobs that waited.
local function open_gate(account, epoch)
  local k = key('gate', account)
  redis.call('HSET', k, 'epoch', epoch, 'findings', '', 'check_ms', '0')
  announce_next('gate:' .. account, 'didflow.ledger.gate_opened.v1', account,
    '{"account":' .. json(account) .. ',"epoch":' .. epoch .. '}')
  wake_some(k .. ':held')
end
