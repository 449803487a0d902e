-- Keeps a number from every job until that moment, also when this one has ended.
local function keep_reserved(id, account, number, until_ms)
  redis.call('HSET', key('reserved', account), number, id .. '|' .. int(until_ms))
  redis.call('ZADD', key('reserved_until'), int(until_ms), account .. '|' .. number)
end

-- Whether a release may have this number under way. Its mark holds until the release is settled, however long that takes.
local function may_be_going(account, number)
  local release = redis.call('HGET', key('going', account), number)
  if not release then return false end
  local state = redis.call('HGET', job_key(release), 'state')
  if state and not OVER[state] then return true end
  redis.call('HDEL', key('going', account), number)
  return false
end

-- The release has settled what became of the number, or has sent nothing.
local function goes_no_more(id, account, number)
  if redis.call('HGET', key('going', account), number) == id then redis.call('HDEL', key('going', account), number) end
end

-- Gives up what the job holds; tainted numbers stay reserved until their time.
local function give_up_reservations(id, account)
  local reserved = key('reserved', account)
  local held = redis.call('SMEMBERS', job_key(id) .. ':reserved')
  for _, number in ipairs(held) do
    note_reused(id, account, number)
    if redis.call('HGET', reserved, number) == id .. '|0' then redis.call('HDEL', reserved, number) end
  end
  if #held > 0 then redis.call('DEL', job_key(id) .. ':reserved') end
end
