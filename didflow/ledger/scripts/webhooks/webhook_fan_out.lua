-- webhook_fan_out: queue what was read from the streams for the endpoints that want it, and go on behind it. The position moves with the
-- queues, so each entry is queued once, in the order in which it was read, whichever process reads it.
-- ARGV  version of the endpoints, positions before on results and events, positions after, entries read of both, the most that an endpoint
--       may have queued; then for each message: event id, type, key of its order, account, reference, body, ids of endpoints
-- Reply 'ok' | 'moved': another process was there first, or the endpoints have changed: read again | 'none': there is no endpoint
-- Twice: the second run finds the position moved.
--- @include "include/keys.lua"
--- @include "include/webhooks.lua"
local MESSAGES_MOST = 1000000  -- the hard maximum
local position = key('webhooks', 'position')
local before = redis.call('HMGET', position, 'results', 'events', 'results_read', 'events_read')
if not before[1] then return 'none' end
if (redis.call('GET', key('webhooks', 'version')) or '0') ~= ARGV[1] or before[1] ~= ARGV[2] or before[2] ~= ARGV[3] then return 'moved' end

local function queue(id, job, message, most)
  if redis.call('HEXISTS', key('webhooks'), id) == 0 then return end
  if redis.call('ZCARD', webhook_key(id, 'queue')) < most then
    queue_message(id, job, message)
  elseif note_missed(id, 1) == 1 then
    announce_webhook(id, 'didflow.webhook.queue_full.v1', '')
  end
end

local most = tonumber(ARGV[8])
for i = 9, #ARGV, 7 do
  local message = redis.call('XADD', key('webhooks', 'messages'), 'MAXLEN', '~', MESSAGES_MOST, '*', 'id', ARGV[i], 'type', ARGV[i + 1],
    'key', ARGV[i + 2], 'account', ARGV[i + 3], 'reference', ARGV[i + 4], 'body', ARGV[i + 5])
  for id in string.gmatch(ARGV[i + 6], '%S+') do queue(id, ARGV[i + 2], message, most) end
end
for place, stream in ipairs({'results', 'events'}) do
  local read = int(tonumber(before[place + 2]) + tonumber(ARGV[place + 5]))
  redis.call('HSET', position, stream, ARGV[place + 3], stream .. '_read', read)
  -- So that what was read may be trimmed. A group that somebody deleted is made again.
  local set = redis.pcall('XGROUP', 'SETID', key(stream), WEBHOOKS_GROUP, ARGV[place + 3], 'ENTRIESREAD', read)
  if set.err then redis.call('XGROUP', 'CREATE', key(stream), WEBHOOKS_GROUP, ARGV[place + 3], 'MKSTREAM', 'ENTRIESREAD', read) end
end
return 'ok'
