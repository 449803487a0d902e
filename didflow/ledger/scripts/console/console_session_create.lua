-- console_session_create: a browser has logged in. Sessions that are over are deleted, and the oldest one where there are too many.
-- ARGV  SHA-256 of the token, record (JSON: id, name, via, key_id, secret; here come created_ms and until_ms to it), valid_ms, idle_ms
-- Reply 'ok'
-- Twice: the second run finds the session.
--- @include "include/clock.lua"
--- @include "include/console_sessions.lua"
--- @include "include/keys.lua"
local MOST = 1000
local digest, record, valid_ms, idle_ms = ARGV[1], cjson.decode(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local sessions, used = key('console', 'sessions'), key('console', 'sessions', 'used')
if redis.call('HEXISTS', sessions, digest) == 1 then return 'ok' end
local all, count, oldest, oldest_ms = redis.call('HGETALL', sessions), 0, nil, nil
for i = 1, #all, 2 do
  local session = cjson.decode(all[i + 1])
  local used_ms = tonumber(redis.call('HGET', used, all[i]) or '') or session.created_ms
  if is_over(session, used_ms, idle_ms) then
    redis.call('HDEL', sessions, all[i])
    redis.call('HDEL', used, all[i])
  else
    count = count + 1
    if not oldest_ms or used_ms < oldest_ms then oldest, oldest_ms = all[i], used_ms end
  end
end
if count >= MOST then
  redis.call('HDEL', sessions, oldest)
  redis.call('HDEL', used, oldest)
end
record.created_ms, record.until_ms = now_ms(), now_ms() + valid_ms
redis.call('HSET', sessions, digest, cjson.encode(record))
return 'ok'
