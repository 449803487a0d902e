-- Webhooks: endpoints, and for each a queue of messages in the order of each job. A queue's member is the job's key, a line end, and the
-- message's id in digits of one width, so that the first one of a key is the one that is due next.
--- @include "include/clock.lua"
--- @include "include/events.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
local WEBHOOKS_GROUP = 'webhooks'

local function webhook_key(id, part) return part and key('webhook', id, part) or key('webhook', id) end

-- The id of the endpoint of that id or name.
local function webhook_named(name)
  if redis.call('HEXISTS', key('webhooks'), name) == 1 then return name end
  local all = redis.call('HGETALL', key('webhooks'))
  for i = 1, #all, 2 do
    if all[i + 1] == name then return all[i] end
  end
end

-- Each webhook process reads the endpoints again once this has changed. It is never below the moment: after a restart with lost writes a count
-- would come again to a version that such a process knows with other endpoints.
local function webhooks_changed()
  redis.call('SET', key('webhooks', 'version'), int(math.max(now_us(), tonumber(redis.call('GET', key('webhooks', 'version')) or '0') + 1)))
end

local function queue_member(job, message)
  local ms, count = string.match(message, '^(%d+)-(%d+)$')
  return job .. '\n' .. string.format('%015.0f-%09.0f', tonumber(ms), tonumber(count))
end

-- The message that a job's queue begins with.
local function queue_head(id, job)
  local first = redis.call('ZRANGEBYLEX', webhook_key(id, 'queue'), '[' .. job .. '\n', '(' .. job .. '\n:', 'LIMIT', 0, 1)[1]
  if not first then return nil end
  local ms, count = string.match(first, '\n0*(%d+)%-0*(%d+)$')
  return ms .. '-' .. count
end

-- Whether it is being delivered now.
local function is_leased(id, job)
  local lease_ms = redis.call('ZSCORE', webhook_key(id, 'leases'), job)
  return lease_ms and tonumber(lease_ms) > now_ms()
end

-- Whether it wasn't queued already.
local function queue_message(id, job, message)
  local is_new = redis.call('ZADD', webhook_key(id, 'queue'), 0, queue_member(job, message)) == 1
  redis.call('ZADD', webhook_key(id, 'ages'), string.match(message, '^%d+'), message)
  redis.call('ZADD', webhook_key(id, 'due'), 'NX', int(now_ms()), job)
  return is_new
end

local function unqueue_message(id, job, message)
  redis.call('ZREM', webhook_key(id, 'queue'), queue_member(job, message))
  redis.call('ZREM', webhook_key(id, 'ages'), message)
  redis.call('HDEL', webhook_key(id, 'heads'), job)
  redis.call('ZREM', webhook_key(id, 'leases'), job)
  if queue_head(id, job) then
    redis.call('ZADD', webhook_key(id, 'due'), int(now_ms()), job)
  else
    redis.call('ZREM', webhook_key(id, 'due'), job)
  end
end

-- Some events don't reach it: it is counted, and since when.
local function note_missed(id, count)
  redis.call('HSETNX', webhook_key(id), 'missed_ms', int(now_ms()))
  return redis.call('HINCRBY', webhook_key(id), 'missed', count)
end

local LOG_MOST = 1000  -- attempts in an endpoint's log
local function log_attempt(id, outcome, record, next_ms)
  redis.call('HINCRBY', webhook_key(id), 'count_' .. outcome, 1)
  redis.call('XADD', webhook_key(id, 'log'), 'MAXLEN', '~', LOG_MOST, '*', 'record', record, 'next_ms', next_ms)
end

local function announce_webhook(id, kind, reason)
  local name = redis.call('HGET', key('webhooks'), id) or ''
  announce_next('webhook:' .. id, kind, name,
    '{"endpoint":' .. json(name) .. ',"reason":' .. json(reason) .. '}')
end

local function set_endpoint_state(id, state, reason)
  redis.call('HSET', webhook_key(id), 'state', state, 'reason', reason, 'changed_ms', int(now_ms()), 'failing_ms', '', 'paused_ms', '')
  announce_webhook(id, state == 'enabled' and 'didflow.webhook.enabled.v1' or 'didflow.webhook.disabled.v1', reason)
  webhooks_changed()
end
