-- inventory_begin: begin a sweep of the account's numbers, if one is due and none runs.
-- ARGV  account, sweeper (unique to this sweep), lease_ms (for so long it runs without a sign of life)
-- Reply {'go', sweep_ms, complete_ms ('' = there was no complete one)} | {'no', wait_ms}
-- Twice: the second run gets the reply of the first one.
--- @include "include/clock.lua"
--- @include "include/inventory.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
local account, by, lease_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local state, now = inventory_key('state', account), now_ms()
local f = redis.call('HMGET', state, 'by', 'lease_ms', 'sweep_ms', 'next_ms', 'complete_ms')
local lease = math.min(whole(f[2], 0), now + lease_ms)  -- A clock that was set back must not keep one running.
if f[1] and f[1] ~= '' and f[1] ~= by and lease > now then return {'no', int(lease - now)} end
if f[1] == by then return {'go', f[3], f[5] or ''} end
local wait = whole(f[4], 0) - now
if wait > 0 then return {'no', int(wait)} end
redis.call('HSET', state, 'by', by, 'lease_ms', int(now + lease_ms), 'sweep_ms', int(now))
return {'go', int(now), f[5] or ''}
