-- webhook_switch: enable or disable an endpoint. One that is enabled gets what was queued meanwhile, see webhook_hasten.
-- ARGV  id or name, state (enabled, disabled), actor: who does it
-- Reply the endpoint's id | '' = there is none
-- Twice: the second run finds it in that state.
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
--- @include "include/webhooks.lua"
local id = webhook_named(ARGV[1])
if not id then return '' end
if redis.call('HGET', webhook_key(id), 'state') == ARGV[2] then return id end
set_endpoint_state(id, ARGV[2], ARGV[2] == 'disabled' and 'person' or '')
if ARGV[2] == 'enabled' then redis.call('HDEL', webhook_key(id), 'missed', 'missed_ms') end
note_decision(ARGV[2] == 'enabled' and 'webhooks enable' or 'webhooks disable', redis.call('HGET', key('webhooks'), id), ARGV[3])
return id
