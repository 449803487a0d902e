local STATES = {'scheduled', 'queued', 'running', 'waiting', 'needs_review', 'succeeded', 'partial', 'failed', 'cancelled', 'expired'}
local OVER = {succeeded = true, partial = true, failed = true, cancelled = true, expired = true}

local function set_state(id, old, new)
  local f = redis.call('HMGET', job_key(id), 'parent', 'created_ms')
  if not f[1] then
    if old then redis.call('ZREM', key('state', old), id) end
    redis.call('ZADD', key('state', new), int(whole(f[2], now_ms())), id)
  end
  redis.call('HSET', job_key(id), 'state', new)
end
