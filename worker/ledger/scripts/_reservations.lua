-- Keeps a number from every job until that moment, also when this one has ended.
local function keep_reserved(id, account, number, until_ms)
  redis.call('HSET', key('reserved', account), number, id .. '|' .. int(until_ms))
  redis.call('ZADD', key('reserved_until'), int(until_ms), account .. '|' .. number)
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
