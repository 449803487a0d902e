-- webhook_create: store an endpoint. It gets what is written to the streams from now on.
-- ARGV  id, name, record (JSON), secret, actor: who makes it
-- Reply 'ok' | 'taken': an endpoint has that name | 'full'
-- Twice: the second run finds the endpoint.
--- @include "include/clock.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
--- @include "include/webhooks.lua"
local MOST = 100
local id, name, record, secret, actor = unpack(ARGV, 1, 5)
local all = redis.call('HGETALL', key('webhooks'))
for i = 1, #all, 2 do
  if all[i] == id then return 'ok' end
  if all[i + 1] == name then return 'taken' end
end
if #all >= 2 * MOST then return 'full' end

-- The last id that the stream has given, and how many it has given.
local function stream_end(stream)
  if redis.call('EXISTS', stream) == 0 then return '0-0', 0 end
  local reply, found = redis.call('XINFO', 'STREAM', stream), {}
  for i = 1, #reply, 2 do found[reply[i]] = reply[i + 1] end
  return found['last-generated-id'], found['entries-added']
end

local position = key('webhooks', 'position')
local is_first = redis.call('EXISTS', position) == 0
local k = webhook_key(id)
for _, stream in ipairs({'results', 'events'}) do
  local last, count = stream_end(key(stream))
  redis.call('HSET', k, 'from_' .. stream, last)
  if is_first then
    pcall(redis.call, 'XGROUP', 'DESTROY', key(stream), WEBHOOKS_GROUP)
    redis.call('XGROUP', 'CREATE', key(stream), WEBHOOKS_GROUP, last, 'MKSTREAM', 'ENTRIESREAD', count)
    redis.call('HSET', position, stream, last, stream .. '_read', count)
  end
end
redis.call('HSET', key('webhooks'), id, name)
redis.call('HSET', k, 'record', record, 'state', 'enabled', 'reason', '', 'created_ms', int(now_ms()), 'created_by', actor, 'changed_ms', int(now_ms()))
redis.call('SET', webhook_key(id, 'secrets'), cjson.encode({{secret = secret, until_ms = 0}}))
webhooks_changed()
note_decision('webhooks create', name, actor)
return 'ok'
