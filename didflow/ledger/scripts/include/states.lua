--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
--- @include "include/shared_writes.lua"
local STATES = {'scheduled', 'queued', 'running', 'waiting', 'needs_review', 'succeeded', 'partial', 'failed', 'cancelled', 'expired'}
local OVER = {succeeded = true, partial = true, failed = true, cancelled = true, expired = true}

-- Lists the job under its new state; `parent`, `created_ms` as its hash has them. Batches are in no list.
local function list_under(id, parent, created_ms, old, new)
  if parent then return end
  if old then remove_from(key('state', old), id) end
  add_to(key('state', new), int(whole(created_ms, now_ms())), id)
end

local function set_state(id, old, new)
  local f = redis.call('HMGET', job_key(id), 'parent', 'created_ms')
  list_under(id, f[1], f[2], old, new)
  redis.call('HSET', job_key(id), 'state', new)
end
