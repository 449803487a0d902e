-- Whose calls a job's are, and by which of its attempts: for routes, a batch is its parent.
local function route_caller(id, token)
  local parent = redis.call('HGET', job_key(id), 'parent')
  if parent then return parent, id .. '/' .. token end
  return id, token
end

-- A batch has ended, however: its parent goes on after the last one. Counted as a set, so that nothing counts twice.
local function leave_parent(id, parent)
  if redis.call('SREM', job_key(parent) .. ':children', id) == 0 or redis.call('SCARD', job_key(parent) .. ':children') > 0 then return end
  local f = redis.call('HMGET', job_key(parent), 'state', 'reason', 'lane')
  if f[1] == 'waiting' and f[2] == 'depends' then
    redis.call('HSET', job_key(parent), 'due_ms', '')
    enqueue(parent, f[3], now_ms(), 15000)
  end
end
