-- inventory_absent: numbers that a complete sweep didn't show. One that an open release has is left to it.
-- ARGV  account, sweeper, lease_ms, JSON {missed: [[number, slot, seen], …], gone: [[number, row, seen, [[event type, data], …], [what happened, see tell_history, …]], …]};
--       seen: as it was read, in the line's digits; ghosts?: [[number, slot], …] lines that are perhaps no row's: those are dropped
-- Reply 'lost' | how many are gone
-- Twice: the second run finds them gone.
--- @include "include/inventory.lua"
--- @include "include/keys.lua"
--- @include "include/states.lua"
--- @include "include/sweeps.lua"
local account, by, lease_ms, absent = ARGV[1], ARGV[2], tonumber(ARGV[3]), cjson.decode(ARGV[4])
local sweep_ms = sweep_of(account, by, lease_ms)
if not sweep_ms then return 'lost' end

for _, one in ipairs(absent.missed) do
  local number, slot, seen = unpack(one, 1, 3)
  if line_is_of(account, slot, number) and last_seen(account, slot) == seen then write_line(account, slot, MISSED_AT, moment_code(sweep_ms)) end
end
for _, one in ipairs(absent.ghosts or {}) do
  local number, slot = unpack(one, 1, 2)
  if read_row(account, number) ~= slot and line_is_of(account, slot, number) then drop_line(account, slot) end
end
local gone = 0
for _, one in ipairs(absent.gone) do
  local number, row, seen = unpack(one, 1, 3)
  local slot = read_row(account, number)
  local release = redis.call('HGET', key('going', account), number)
  local state = release and redis.call('HGET', job_key(release), 'state')
  local goes = state and not OVER[state]
  if not goes and slot and redis.call('HGET', inventory_key('rows', account), number) == row and last_seen(account, slot) == seen then
    drop_row(account, number)
    tell_world(account, number, one[4], one[5])
    gone = gone + 1
  end
end
return int(gone)
