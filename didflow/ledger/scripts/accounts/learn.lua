-- learn: remember what an account's server was seen to take, and since when.
-- ARGV  id, token, what, value
-- Reply 'ok' | 'lost'
-- Twice: it writes the same again, with the moment of the second run.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/tokens.lua"
local id, token, what, value = unpack(ARGV, 1, 4)
if not holds(id, token) then return 'lost' end
redis.call('HSET', key('learned', redis.call('HGET', job_key(id), 'account') or ''), what, value .. '|' .. int(now_ms()))
return 'ok'
