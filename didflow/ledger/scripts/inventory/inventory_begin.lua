-- inventory_begin: begin a sweep of the account's numbers, if one is due or wanted, and none runs.
-- ARGV  account, sweeper (unique to this sweep), lease_ms (how long it runs without a sign of life), worker ('' = of none: its sweep
--       ends when the worker is gone), alive_ms (a worker that was silent for longer is gone)
-- Reply {'go', sweep_ms, complete_ms ('' = there was no complete one)} | {'no', wait_ms}
-- Twice: the second run gets the reply of the first one.
--- @include "include/clock.lua"
--- @include "include/inventory.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
local account, by, lease_ms, worker, alive_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local state, now = inventory_key('state', account), now_ms()
local f = redis.call('HMGET', state, 'by', 'lease_ms', 'sweep_ms', 'next_ms', 'complete_ms', 'wanted_ms', 'worker', 'ended_ms')
local lease = math.min(whole(f[2], 0), now + lease_ms)  -- A clock that was set back must not keep one running.
local owner = f[7] and f[7] ~= '' and f[7]
local gone = owner and whole(redis.call('ZSCORE', key('workers'), owner), 0) < now - alive_ms
if f[1] and f[1] ~= '' and f[1] ~= by and lease > now and not gone then return {'no', int(lease - now)} end
if f[1] == by then return {'go', f[3], f[5] or ''} end
local wait = whole(f[8], 0) > now and 0 or whole(f[4], 0) - now  -- Nor keep the next one from beginning.
if wait > 0 and not f[6] then return {'no', int(wait)} end
redis.call('HSET', state, 'by', by, 'lease_ms', int(now + lease_ms), 'sweep_ms', int(now), 'worker', worker)
redis.call('HDEL', state, 'wanted_ms')
return {'go', int(now), f[5] or ''}
