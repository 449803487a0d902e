-- api_key_revoke: a key isn't valid any more, from now on, whichever secret of it is used.
-- ARGV  id or name of the key, actor: who does it
-- Reply 'ok' | 'gone'
-- Twice: the second run finds nothing.
--- @include "include/api_keys.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
local revoked
for digest, record in pairs(valid_secrets()) do
  if record.id == ARGV[1] or record.name == ARGV[1] then
    redis.call('HDEL', key('api_keys'), digest)
    redis.call('HDEL', key('api_keys', 'used'), record.id)
    revoked = record.name
  end
end
if not revoked then return 'gone' end
note_decision('keys revoke', revoked, ARGV[2])
return 'ok'
