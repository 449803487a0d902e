-- learn: remember what an account's server was seen to take, and since when.
-- ARGV  id, token, what, value
-- Reply 'ok' | 'lost'
-- Twice: it writes the same again, with the moment of the second run.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/records.lua"
--- @include "include/tokens.lua"
local LEARNED = {'value', 'string', 'seen_ms', 'number'}
local id, token, what, value = unpack(ARGV, 1, 4)
if not holds(id, token) then return 'lost' end
redis.call('HSET', key('learned', redis.call('HGET', job_key(id), 'account') or ''), what,
  record_text(LEARNED, {value = value, seen_ms = now_ms()}))
return 'ok'
