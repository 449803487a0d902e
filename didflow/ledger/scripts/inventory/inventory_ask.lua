-- inventory_ask: a caller wants a sweep of the account's numbers that begins now or later. The next sweep is due at once.
-- ARGV  account, asked_ms (the ledger's clock when the question was asked)
-- Reply 'ok'
-- Twice: writes the same.
--- @include "include/clock.lua"
--- @include "include/inventory.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
local account, asked_ms = ARGV[1], tonumber(ARGV[2])
local state = inventory_key('state', account)
local before = whole(redis.call('HGET', state, 'wanted_ms'), 0)
redis.call('HSET', state, 'wanted_ms', int(math.max(before, math.min(asked_ms, now_ms()))))
return 'ok'
