-- Whose calls a job's are, and by which of its attempts: for routes, a batch is its parent.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/nudges.lua"
local function route_caller(id, token)
  local parent = redis.call('HGET', job_key(id), 'parent')
  if parent then return parent, id .. '/' .. token end
  return id, token
end

-- A job has many batches; this many are cancelled in the script that cancels the job, so that they end at once. The others are cancelled
-- with it, too: a worker that holds one checks `is_called_off`.
local CALLED_OFF_AT_ONCE = 20

local function call_off_batches(id)
  redis.call('HSET', job_key(id), 'batches_off', '1')
  return redis.call('SRANDMEMBER', job_key(id) .. ':children', CALLED_OFF_AT_ONCE)
end

-- Whether the job is cancelled, or the one whose batch it is has ended or is cancelled. `cancel`, `parent` as its hash has them.
local function is_called_off(cancel, parent)
  if cancel == '1' or not parent then return cancel == '1' end
  local f = redis.call('HMGET', job_key(parent), 'cancel', 'batches_off')
  return f[1] == '1' or f[2] == '1'
end

-- A batch has ended, however: its parent continues after the last one. Counted as a set, so that nothing counts twice.
local function leave_parent(id, parent)
  if redis.call('SREM', job_key(parent) .. ':children', id) == 0 or redis.call('SCARD', job_key(parent) .. ':children') > 0 then return end
  local f = redis.call('HMGET', job_key(parent), 'state', 'reason', 'lane')
  if f[1] == 'waiting' and f[2] == 'depends' then
    redis.call('HSET', job_key(parent), 'due_ms', '')
    enqueue(parent, f[3], now_ms(), 15000)
  end
end
