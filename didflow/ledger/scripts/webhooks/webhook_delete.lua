-- webhook_delete: delete an endpoint with its queue and its log; with the last one, all that webhooks keep.
-- ARGV  id or name, actor: who does it
-- Reply 'ok' | 'gone'
-- Twice: the second run finds none.
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
--- @include "include/webhooks.lua"
local id = webhook_named(ARGV[1])
if not id then return 'gone' end
note_decision('webhooks delete', redis.call('HGET', key('webhooks'), id), ARGV[2])
redis.call('HDEL', key('webhooks'), id)
redis.call('UNLINK', webhook_key(id))
for _, part in ipairs({'secrets', 'queue', 'ages', 'due', 'heads', 'leases', 'log'}) do redis.call('UNLINK', webhook_key(id, part)) end
webhooks_changed()
if redis.call('HLEN', key('webhooks')) == 0 then
  redis.call('UNLINK', key('webhooks', 'position'), key('webhooks', 'messages'))
  -- A group without a reader would keep the streams from being trimmed.
  for _, stream in ipairs({'results', 'events'}) do redis.pcall('XGROUP', 'DESTROY', key(stream), WEBHOOKS_GROUP) end
end
return 'ok'
