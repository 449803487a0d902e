-- inventory_read: what a job read of some numbers by the way, not as a part of a sweep.
-- ARGV  account, read_ms (nothing of it was read before), settle_ms (how long the provider's lists may lag: what was seen within this time before
--       stays), JSON (see include/inventory_pages.lua)
-- Reply {number, …} that aren't as they were read: nothing was written of them
-- Twice: the second run finds each row as it writes it, and emits nothing.
--- @include "include/inventory.lua"
--- @include "include/inventory_pages.lua"
--- @include "include/reading.lua"
local account, read_ms, settle_ms, page = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local since_ms = read_ms - settle_ms
local adds = since_ms >= whole(redis.call('HGET', inventory_key('state', account), 'complete_ms'), 0)
return take_page(account, cjson.decode(page), read_ms, since_ms, since_ms, adds)
