-- gate_gift: keep a person's word that a purchase bought an owned number among the findings, until a worker has read the number and gives it.
-- ARGV  account, gift (JSON, see include/gifts.lua)
-- Reply {'kept'} (or given to that purchase already) | {'strange'} (that record is not among the findings)
--       | {'decided', the other purchase that has it, or will; '' = it was accepted as no job's}
-- Twice: the second run finds it kept, or given.
--- @include "include/gifts.lua"
--- @include "include/keys.lua"
--- @include "include/records.lua"
local account, gift = ARGV[1], cjson.decode(ARGV[2])
local decided = purchase_decided(account, gift.number, gift.record_id)
if decided then return decided == gift.job and {'kept'} or {'decided', decided} end
if is_accepted(account, gift.record_id) then return {'decided', ''} end
local read, found = pcall(cjson.decode, redis.call('HGET', key('gate', account), 'findings') or '')
if not read or type(found) ~= 'table' or (found.owned or {})[gift.number] ~= gift.record_id then return {'strange'} end
redis.call('HSET', key('gate', account, 'gifts'), gift.number, record_text(GIFT, gift))
return {'kept'}
