-- sending: the jobs that wrote, before a freeze, that money may move, and nothing since: their call may be about to begin, or be under way.
-- The leases are as many as the workers have threads. A lease that the sweeper has ended is waited for once more, for this server's clock may have
-- jumped while the worker's did not (`tests/model/freeze_protocol.py`).
-- ARGV  account ('' = all)
-- Reply {ms until processes that ran before a restart of the server can begin no call any more, id, …}
-- Twice: it writes nothing.
-- flags: no-writes
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/lapsed.lua"
--- @include "include/reading.lua"
local e = redis.call('HMGET', key('epoch'), 'since_ms', 'vouch_ms')
local reply = {int(math.max(0, whole(e[1], 0) + whole(e[2], 0) - now_ms()))}
for _, id in ipairs(redis.call('ZRANGE', key('leases'), 0, -1)) do
  local f = redis.call('HMGET', job_key(id), 'state', 'token', 'sending', 'account')
  if f[1] == 'running' and f[3] and f[3] == f[2] and (ARGV[1] == '' or ARGV[1] == f[4]) then reply[#reply + 1] = id end
end
local now = now_ms()
for id, one in pairs(lapsed_ones()) do
  local account = redis.call('HGET', job_key(id), 'account')
  if one.ended_ms + one.lease_ms > now and (ARGV[1] == '' or ARGV[1] == account) then reply[#reply + 1] = id end
end
return reply
