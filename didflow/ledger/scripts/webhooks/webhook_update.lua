-- webhook_update: change what an endpoint gets, where that is posted, and whether. What is queued stays in its order.
-- ARGV  id, record (JSON) as it was read, record as it is to be, 'url' if that differs (else ''), state ('' = as it is), actor: who does it,
--       the fields that differ, for the audit
-- Reply 'ok' | 'changed': the record isn't as it was read | 'gone'
-- Twice: the second run finds the record and the state so.
--- @include "include/clock.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
--- @include "include/webhooks.lua"
local id, before, after, has_other_url, state, actor, fields = unpack(ARGV, 1, 7)
local k = webhook_key(id)
local f = redis.call('HMGET', k, 'record', 'state')
if not f[1] then return 'gone' end
if f[1] ~= before and f[1] ~= after then return 'changed' end
local name = redis.call('HGET', key('webhooks'), id)
if f[1] ~= after then
  redis.call('HSET', k, 'record', after)
  -- The failures, and the wish to be left alone, were the other receiver's.
  if has_other_url ~= '' then redis.call('HSET', k, 'url_ms', int(now_ms()), 'failing_ms', '', 'paused_ms', '') end
  webhooks_changed()
  note_decision('webhooks update', name, actor, fields)
end
if state ~= '' and state ~= f[2] then
  set_endpoint_state(id, state, state == 'disabled' and 'person' or '')
  if state == 'enabled' then redis.call('HDEL', k, 'missed', 'missed_ms') end
  note_decision(state == 'enabled' and 'webhooks enable' or 'webhooks disable', name, actor)
end
return 'ok'
