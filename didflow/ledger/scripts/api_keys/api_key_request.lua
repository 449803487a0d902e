-- api_key_request: whose secret a request has, and whether the key's rate allows the request. Notes when the key was used.
-- flags: allow-oom
-- ARGV  SHA-256 of the secret ('' = none was given), how old a noted use may be, ms
-- Reply as api_key; with 'key' the number is how long until the key may send a request, ms; 0: it may send this one
-- Twice: the second run counts one request more.
--- @include "include/api_key_found.lua"
--- @include "include/clock.lua"
--- @include "include/key_rate.lua"
--- @include "include/keys.lua"
local record, found = api_key_found(ARGV[1])
if not record then return {found} end
local used_ms = tonumber(redis.call('HGET', key('api_keys', 'used'), record.id)) or 0
if now_ms() - used_ms >= tonumber(ARGV[2]) then redis.call('HSET', key('api_keys', 'used'), record.id, now_ms()) end
if not record.rate_per_s then return {'key', found, 0} end
return {'key', found, count_request(record.id, record.rate_per_s)}
