-- api_key_rotate: give a key another secret; its older ones are valid for a while longer.
-- ARGV  id or name of the key, SHA-256 of the new secret, overlap_ms, valid_ms of the new one (0 = as long as the newest one), actor: who
--       does it
-- Reply {'ok', record} | {'gone'}
-- Twice: the second run finds the new secret.
--- @include "include/api_keys.lua"
--- @include "include/clock.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
local name, digest, overlap_ms, valid_ms, actor = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local valid, newest, newest_until_ms = valid_secrets(), nil, 0
if valid[digest] then return {'ok', cjson.encode(valid[digest])} end
local id = key_named(valid, name)
for other, record in pairs(valid) do
  if record.id == id then
    if not newest or record.created_ms > newest.created_ms then newest, newest_until_ms = record, record.until_ms end
    local until_ms = now_ms() + overlap_ms
    if record.until_ms == 0 or record.until_ms > until_ms then
      record.until_ms = until_ms
      redis.call('HSET', key('api_keys'), other, cjson.encode(record))
    end
  end
end
if not newest then return {'gone'} end
-- Later than that of the one before, also within a millisecond and on a clock that was set back: the newest one's expiry is the key's.
newest.created_ms, newest.created_by = math.max(now_ms(), newest.created_ms + 1), actor
newest.until_ms = valid_ms > 0 and now_ms() + valid_ms or newest_until_ms
redis.call('HSET', key('api_keys'), digest, cjson.encode(newest))
note_decision('keys rotate', newest.name, actor)
return {'ok', cjson.encode(newest)}
