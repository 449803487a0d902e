-- count_calls: add what a worker process counted of its requests to the provider since it last did.
-- ARGV  worker, batch (counts from 1 within the process), field, by, field, by, …
-- Reply 'ok'
-- Twice: a batch is added once.
--- @include "include/keys.lua"
--- @include "include/minutes.lua"
local worker, batch = ARGV[1], tonumber(ARGV[2])
if tonumber(redis.call('HGET', key('metrics', 'counted'), worker) or '0') >= batch then return 'ok' end
redis.call('HSET', key('metrics', 'counted'), worker, int(batch))
local by_bound = {}
for i = 3, #ARGV, 2 do
  redis.call('HINCRBY', key('metrics', 'calls'), ARGV[i], ARGV[i + 1])
  local bound = string.match(ARGV[i], ':(%d+)$') or string.match(ARGV[i], ':(inf)$')
  if bound then by_bound[bound] = (by_bound[bound] or 0) + tonumber(ARGV[i + 1]) end
end
for bound, count in pairs(by_bound) do count_in_minute('call:' .. bound, count) end
return 'ok'
