-- A sweep of an account's numbers: whose turn it is, and what it tells the world.
--- @include "include/clock.lua"
--- @include "include/events.lua"
--- @include "include/histories.lua"
--- @include "include/inventory.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"

-- When the running sweep began, if it is this sweeper's; a sign of life.
local function sweep_of(account, by, lease_ms)
  local state = inventory_key('state', account)
  local f = redis.call('HMGET', state, 'by', 'sweep_ms')
  if f[1] ~= by then return nil end
  redis.call('HSET', state, 'lease_ms', int(now_ms() + lease_ms))
  return whole(f[2], 0)
end

local function sweep_event(account, kind, subject, data)
  announce_next('inventory:' .. account, kind, subject, data)
end

-- Events of a number ({type, data}) and entries of its history.
local function tell_world(account, number, events, entries)
  for _, event in ipairs(events) do sweep_event(account, event[1], number, event[2]) end
  for _, entry in ipairs(entries) do tell_history('', {[number] = entry}, {'inventory', account}) end
end
