-- api_key: whose secret this is.
-- flags: no-writes
-- ARGV  SHA-256 of the secret ('' = none was given)
-- Reply {'key', record, when it was last used, ms ('' = never)} | {'unknown'} | {'expired'} | {'missing'}: none was given, and keys are
--       in use | {'unused'}: none was given, and no key was ever made
-- Twice: it only reads.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
if ARGV[1] == '' then return {redis.call('EXISTS', key('api_keys', 'made')) == 1 and 'missing' or 'unused'} end
local text = redis.call('HGET', key('api_keys'), ARGV[1])
if not text then return {'unknown'} end
local record = cjson.decode(text)
if record.until_ms > 0 and record.until_ms <= now_ms() then return {'expired'} end
return {'key', text, redis.call('HGET', key('api_keys', 'used'), record.id) or ''}
