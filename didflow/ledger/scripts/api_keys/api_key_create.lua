-- api_key_create: store a key of the HTTP API.
-- ARGV  SHA-256 of its secret, its record (JSON: id, name, scopes, limits; here come created_ms and until_ms to it), valid_ms (0 = for ever),
--       actor: who makes it, 'first': only if no key was ever made ('' = in any case)
-- Reply 'ok' | 'taken': a valid key has that name | 'full' | 'missing': it isn't the first one, so making it needs a key
-- Twice: the second run finds the secret.
--- @include "include/api_keys.lua"
--- @include "include/clock.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
local MOST = 1000
local digest, record, valid_ms, actor = ARGV[1], cjson.decode(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local valid, count = valid_secrets(), 0
if valid[digest] then return 'ok' end
if ARGV[5] == 'first' and redis.call('EXISTS', key('api_keys', 'made')) == 1 then return 'missing' end
for _, other in pairs(valid) do
  if other.name == record.name then return 'taken' end
  count = count + 1
end
if count >= MOST then return 'full' end
record.created_ms, record.created_by, record.until_ms = now_ms(), actor, valid_ms > 0 and now_ms() + valid_ms or 0
redis.call('HSET', key('api_keys'), digest, cjson.encode(record))
redis.call('INCR', key('api_keys', 'made'))
note_decision('keys create', record.name, actor, table.concat(record.scopes, ' '))
return 'ok'
