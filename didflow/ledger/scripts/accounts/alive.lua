-- alive: a worker process lives. Also notices a restart by itself.
-- ARGV  worker, vouch_ms (a process that was silent for longer than this is a new one), forget_ms, acked, epoch (the count of its writes that it
--       knows to have been made in that epoch), life (that it knows to be in)
-- Reply {count, epoch, life, others}: see count_write; `life` is another one whenever it began, or had been silent, and as long as the
--       process doesn't know it, `others` are those that may be its witnesses: {worker, count, …}
-- Twice: counts twice, which the process doesn't know of one of them; it may be sure of fewer than there are.
-- flags: allow-oom
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/restarts.lua"
--- @include "include/vouching.lua"
local worker, vouch_ms, forget_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local epoch = notice_restart()
local now, workers, others = now_ms(), key('workers'), {}
local seen = redis.call('ZSCORE', workers, worker)
local life = redis.call('HGET', key('vouch', 'life'), worker)
if not seen or tonumber(seen) < now - vouch_ms or not life then
  life = int(now_us())
  redis.call('HSET', key('vouch', 'life'), worker, life)
end
if life ~= ARGV[6] then
  for _, other in ipairs(redis.call('ZRANGE', workers, 0, -1)) do
    if other ~= worker then
      others[#others + 1] = other
      others[#others + 1] = redis.call('HGET', key('vouch', 'counts'), other) or '0'
    end
  end
end
redis.call('ZADD', workers, int(now), worker)
redis.call('HSET', key('vouch', 'acked'), worker, ARGV[5] == epoch and ARGV[4] or '0')
-- The longest of all processes' holds for all: none is forgotten while it may still have to say what it wrote.
local longest_ms = tonumber(redis.call('HGET', key('epoch'), 'vouch_ms') or '0')
if longest_ms < vouch_ms then
  -- A process that was silent for too long stays so: if this is lost, no gate waits for it.
  for _, silent in ipairs(redis.call('ZRANGEBYSCORE', workers, '-inf', '(' .. int(now - longest_ms))) do
    redis.call('HDEL', key('vouch', 'life'), silent)
  end
  longest_ms = vouch_ms
  redis.call('HSET', key('epoch'), 'vouch_ms', int(vouch_ms))
end
forget_ms = math.max(forget_ms, longest_ms)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', workers, '-inf', int(now - forget_ms))) do
  redis.call('ZREM', workers, gone)
  redis.call('HDEL', key('vouch', 'life'), gone)
  redis.call('HDEL', key('vouch', 'acked'), gone)
  redis.call('HDEL', key('metrics', 'counted'), gone)
  redis.call('DEL', key('taken', gone))
end
local told = count_write(worker)
return {told[1], told[2], life, others}
