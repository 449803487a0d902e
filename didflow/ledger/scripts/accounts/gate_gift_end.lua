-- gate_gift_end: a worker couldn't give a number, and says why; or a gift that was refused is forgotten.
-- ARGV  account, number, gift as it was read (JSON), refused: why it couldn't ('' = forget it)
-- Reply 'changed' | 'other' (another gift stands there, or none)
-- Twice: the second run finds another one.
-- flags: allow-oom
--- @include "include/gifts.lua"
--- @include "include/keys.lua"
--- @include "include/records.lua"
local k, number, refused = key('gate', ARGV[1], 'gifts'), ARGV[2], ARGV[4]
local gift = read_record(GIFT, ARGV[3])
if not gift or redis.call('HGET', k, number) ~= record_text(GIFT, gift) then return 'other' end
if refused == '' then
  redis.call('HDEL', k, number)
else
  gift.refused = refused
  redis.call('HSET', k, number, record_text(GIFT, gift))
end
return 'changed'
