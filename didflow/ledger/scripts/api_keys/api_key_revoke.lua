-- api_key_revoke: a key isn't valid any more, from now on, whichever secret of it is used.
-- ARGV  id or name of the key, actor: who does it
-- Reply 'ok' | 'gone'
-- Twice: the second run finds nothing.
--- @include "include/api_keys.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
local valid, revoked = valid_secrets(), nil
local id = key_named(valid, ARGV[1])
for digest, record in pairs(valid) do
  if record.id == id then
    redis.call('HDEL', key('api_keys'), digest)
    forget_key(record.id)
    revoked = record.name
  end
end
if not revoked then return 'gone' end
note_decision('keys revoke', revoked, ARGV[2])
return 'ok'
