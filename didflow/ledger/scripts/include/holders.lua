-- The reference that a number was bought for, as long as the record is ours. An unreadable entry is overwritten.
--- @include "include/keys.lua"
--- @include "include/pool.lua"
--- @include "include/records.lua"
local HOLDER = {'record_id', 'string', 'account', 'string', 'reference', 'string'}  -- '' where it isn't known, or none
local HELD = {bought = true, bought_inactive = true, reused = true}
local function note_holder(number, what, record, account, reference)
  local gone = what == 'released' or what == 'already_released'
  if not HELD[what] and not gone then return end
  local old = redis.pcall('HGET', key('holders'), number)
  local was = type(old) == 'string' and read_record(HOLDER, old) or {record_id = '', reference = ''}
  if gone and record and was.record_id ~= '' and was.record_id ~= record then return end
  if was.reference ~= '' then redis.pcall('SREM', key('holdings', was.reference), number) end
  if gone then
    redis.pcall('HDEL', key('holders'), number)
  else
    redis.pcall('HSET', key('holders'), number, record_text(HOLDER, {record_id = record or '', account = account or '', reference = reference or ''}))
    if reference and reference ~= '' then redis.pcall('SADD', key('holdings', reference), number) end
  end
end

-- The reference of a number that was assigned to a job: the previous one, as long as the job may still return the number.
local function note_reused(id, account, number)
  local handed_out = read_handed_out(account, number)
  if not handed_out or handed_out.job ~= id then return end
  note_holder(number, 'reused', handed_out.record_id, account, redis.call('HGET', job_key(id), 'reference'))
end
