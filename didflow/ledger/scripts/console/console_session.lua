-- console_session: who is behind a session of the console.
-- flags: no-writes
-- ARGV  SHA-256 of the token, idle_ms: a session ends when it wasn't used for this long
-- Reply {'session', record, record of its key, when it was last used, ms} | {'ended'}: it isn't known, is over, or its key isn't valid any more
-- Twice: it only reads.
--- @include "include/clock.lua"
--- @include "include/console_sessions.lua"
--- @include "include/keys.lua"
local text = redis.call('HGET', key('console', 'sessions'), ARGV[1])
if not text then return {'ended'} end
local session = cjson.decode(text)
local used_ms = tonumber(redis.call('HGET', key('console', 'sessions', 'used'), ARGV[1]) or '') or session.created_ms
if is_over(session, used_ms, tonumber(ARGV[2])) then return {'ended'} end

local function is_valid(record) return record.until_ms == 0 or record.until_ms > now_ms() end

-- A session by key ends with the secret that opened it; one by a proxy's header ends with the key. There are a thousand at most, see api_key_create.
if session.secret ~= '' then
  local record = redis.call('HGET', key('api_keys'), session.secret)
  if record and is_valid(cjson.decode(record)) then return {'session', text, record, int(used_ms)} end
  return {'ended'}
end
for _, record in ipairs(redis.call('HVALS', key('api_keys'))) do
  local found = cjson.decode(record)
  if found.id == session.key_id and is_valid(found) then return {'session', text, record, int(used_ms)} end
end
return {'ended'}
