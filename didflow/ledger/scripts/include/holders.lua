-- The reference that a number was bought for, as long as the record is ours. An unreadable entry is overwritten.
--- @include "include/keys.lua"
--- @include "include/reading.lua"
local HELD = {bought = true, bought_inactive = true, reused = true}
local function note_holder(number, what, record, account, reference)
  local gone = what == 'released' or what == 'already_released'
  if not HELD[what] and not gone then return end
  local old = redis.pcall('HGET', key('holders'), number)
  local read, was = pcall(cjson.decode, old)
  if not read or type(was) ~= 'table' then was = {} end
  if gone and record and type(was[1]) == 'string' and was[1] ~= record then return end
  if type(was[3]) == 'string' then redis.pcall('SREM', key('holdings', was[3]), number) end
  if gone then
    redis.pcall('HDEL', key('holders'), number)
  else
    redis.pcall('HSET', key('holders'), number, '[' .. json(record) .. ',' .. json(account) .. ',' .. json(reference) .. ']')
    if reference and reference ~= '' then redis.pcall('SADD', key('holdings', reference), number) end
  end
end

-- The reference of a number that was assigned to a job: the previous one, as long as the job may still return the number.
local function note_reused(id, account, number)
  local record, has = string.match(redis.call('HGET', key('handed_out', account), number) or '', '^(%d+)|([^|]*)|')
  if has == id then note_holder(number, 'reused', record, account, redis.call('HGET', job_key(id), 'reference')) end
end
