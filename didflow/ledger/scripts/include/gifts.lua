-- A person's decision about an owned number that no job claims: a purchase bought it, or none did. It is made once for each record.
-- `gifts`: number -> what a worker is still to give, see `didflow.ledger.gate.Gift`; `given`: number -> what a purchase has by a decision.
--- @include "include/keys.lua"
--- @include "include/records.lua"
local GIFT = {'number', 'string', 'record_id', 'number', 'job', 'string', 'actor', 'string', 'refused', 'string'}
local GIVEN = {'record_id', 'number', 'job', 'string'}

-- The purchase that this record was given to, or is about to be; nil: none.
local function purchase_decided(account, number, record)
  local given = read_record(GIVEN, redis.call('HGET', key('gate', account, 'given'), number))
  if given and given.record_id == record then return given.job, true end
  local gift = read_record(GIFT, redis.call('HGET', key('gate', account, 'gifts'), number))
  if gift and gift.record_id == record and gift.refused == '' then return gift.job, false end
end

local function is_accepted(account, record) return redis.call('SISMEMBER', key('gate', account, 'accepted'), int(record)) == 1 end
