-- webhook_rotate: give an endpoint another signing secret; its older ones sign beside it for a while longer.
-- ARGV  id or name, the new secret, overlap_ms, actor: who does it
-- Reply the endpoint's id | '' = there is none
-- Twice: the second run finds the new secret.
--- @include "include/clock.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
--- @include "include/webhooks.lua"
local MOST = 5  -- secrets that sign at once
local id = webhook_named(ARGV[1])
if not id then return '' end
local until_ms = now_ms() + tonumber(ARGV[3])
local kept = {{secret = ARGV[2], until_ms = 0}}
for _, one in ipairs(cjson.decode(redis.call('GET', webhook_key(id, 'secrets')) or '[]')) do
  if one.secret == ARGV[2] then return id end
  if one.until_ms == 0 or one.until_ms > until_ms then one.until_ms = until_ms end
  if one.until_ms > now_ms() and #kept < MOST then kept[#kept + 1] = one end
end
redis.call('SET', webhook_key(id, 'secrets'), cjson.encode(kept))
webhooks_changed()
note_decision('webhooks rotate', redis.call('HGET', key('webhooks'), id), ARGV[4])
return id
