-- inventory_page: what a running sweep read of some numbers, at most a page of the provider's list.
-- ARGV  account, sweeper, lease_ms, settle_ms (a job's word within this time before the sweep is newer, too), JSON {seen: [[number, slot], …] (as they
--       were), rows: [[number, record, row as it was read ('' = none), parts, line, [[event type, data], …], [what happened, see tell_history, …]], …]}
-- Reply 'lost' (another sweep runs) | {number, …} that aren't as they were read: nothing was written of them
-- Twice: the second run finds each row as it writes it, and emits nothing.
--- @include "include/inventory.lua"
--- @include "include/sweeps.lua"
local account, by, lease_ms, settle_ms, page = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), cjson.decode(ARGV[5])
local sweep_ms = sweep_of(account, by, lease_ms)
if not sweep_ms then return 'lost' end
local seen = moment_code(sweep_ms) .. moment_code(0)

local function see(number, slot)
  if not slot or not line_is_of(account, slot, number) then return false end
  write_line(account, slot, SEEN_AT, seen)
  return true
end

local changed = {}
for _, one in ipairs(page.seen) do
  if not see(one[1], one[2]) then changed[#changed + 1] = one[1] end
end
for _, one in ipairs(page.rows) do
  local number, record, was, parts, line = unpack(one, 1, 5)
  local slot, now_parts, row = read_row(account, number)
  if now_parts == parts then
    if not see(number, slot) then put_row(account, number, slot, parts, line) end
  elseif row ~= was then
    changed[#changed + 1] = number
  elseif was == '' and is_newer(account, number, record, sweep_ms - settle_ms) then
    changed[#changed + 1] = number
  else
    put_row(account, number, slot, parts, line)
    tell_world(account, number, one[6], one[7])
  end
end
return changed
