-- Who has which number of the pool. HANDED_OUT: the purchase that has it, and when it got it, counted as submits are. OFFERED: the release that
-- has it parked, from which a purchase may borrow it. Record ids are texts of digits.
--- @include "include/keys.lua"
--- @include "include/records.lua"
local HANDED_OUT = {'record_id', 'string', 'job', 'string', 'order', 'number'}
local OFFERED = {'record_id', 'string', 'release_job', 'string'}

local function read_handed_out(account, number)
  return read_record(HANDED_OUT, redis.call('HGET', key('handed_out', account), number))
end

local function write_handed_out(account, number, record_id, id, order)
  redis.call('HSET', key('handed_out', account), number, record_text(HANDED_OUT, {record_id = record_id, job = id, order = order}))
end

local function offer(account, number, record_id, release_job)
  redis.call('HSET', key('offered', account), number, record_text(OFFERED, {record_id = record_id, release_job = release_job}))
end

-- The release offers the number no more, if it did.
local function withdraw(account, number, release_job)
  local offered = read_record(OFFERED, redis.call('HGET', key('offered', account), number))
  if offered and offered.release_job == release_job then redis.call('HDEL', key('offered', account), number) end
end
