-- inventory_end: the end of a sweep.
-- ARGV  account, sweeper, complete ('1' | '0'), pause_ms (until the next one), trouble (why it isn't complete), settle_ms, first event's data (JSON)
-- Reply 'ok' | 'lost'
-- Twice: the second run finds no sweep of this sweeper.
--- @include "include/clock.lua"
--- @include "include/inventory.lua"
--- @include "include/keys.lua"
--- @include "include/sweeps.lua"
local account, by, complete, pause_ms, trouble, settle_ms, first = unpack(ARGV, 1, 7)
local MOST_FORGOTTEN = 1000
local sweep_ms = sweep_of(account, by, 0)
if not sweep_ms then return 'lost' end
local state, now = inventory_key('state', account), now_ms()
redis.call('HSET', state, 'by', '', 'lease_ms', '', 'ended_ms', int(now), 'next_ms', int(now + tonumber(pause_ms)), 'trouble', trouble)
if complete == '1' then
  if not redis.call('HGET', state, 'complete_ms') then sweep_event(account, 'didflow.inventory.first_sweep.v1', account, first) end
  redis.call('HSET', state, 'complete_ms', int(sweep_ms))
  local newer = inventory_key('newer', account)
  local old = redis.call('ZRANGEBYSCORE', newer, '-inf', '(' .. int(sweep_ms - tonumber(settle_ms)), 'LIMIT', '0', int(MOST_FORGOTTEN))
  if #old > 0 then redis.call('ZREM', newer, unpack(old)) end
else
  redis.call('HSET', state, 'trouble_ms', int(now))
end
return 'ok'
