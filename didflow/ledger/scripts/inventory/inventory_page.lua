-- inventory_page: what a running sweep read of some numbers.
-- ARGV  account, sweeper, lease_ms, read_ms (nothing of it was read before), settle_ms (a job's word within this time before the sweep is
--       newer, too), JSON (see include/inventory_pages.lua)
-- Reply 'lost' (another sweep runs) | {number, …} that aren't as they were read: nothing was written of them
-- Twice: the second run finds each row as it writes it, and emits nothing.
--- @include "include/inventory_pages.lua"
--- @include "include/sweeps.lua"
local account, by, lease_ms, read_ms, settle_ms, page = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local sweep_ms = sweep_of(account, by, lease_ms)
if not sweep_ms then return 'lost' end
return take_page(account, cjson.decode(page), read_ms, read_ms, sweep_ms - settle_ms, true)
