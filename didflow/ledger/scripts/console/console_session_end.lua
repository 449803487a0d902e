-- console_session_end: end sessions of the console.
-- ARGV  field: 'token', 'id' or 'key_id', and its value: the SHA-256 of a token, a session's id, a key's id
-- Reply how many ended
-- Twice: the second run finds none.
--- @include "include/audit.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
local field, value, ended = ARGV[1], ARGV[2], 0
local sessions, used = key('console', 'sessions'), key('console', 'sessions', 'used')

local function stop(digest)
  ended = ended + redis.call('HDEL', sessions, digest)
  redis.call('HDEL', used, digest)
end

if field == 'token' then
  stop(value)
else
  local all = redis.call('HGETALL', sessions)
  for i = 1, #all, 2 do
    if cjson.decode(all[i + 1])[field] == value then stop(all[i]) end
  end
  -- A log-out ends the person's own session. This is a decision about sessions of others.
  if ended > 0 then note_decision('sessions end', value, CALLING_ACTOR) end
end
return ended
