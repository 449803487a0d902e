-- note_stock: leave a note of a page of the stock for the account's other jobs. Nothing rests on it, so not where memory is full.
-- ARGV  id, token, place, text, keep_ms
-- Reply 'ok' | 'lost'
-- Twice: it writes the same again.
--- @include "include/keys.lua"
--- @include "include/tokens.lua"
local id, token, place, text, keep_ms = unpack(ARGV, 1, 5)
if not holds(id, token) then return 'lost' end
redis.call('SET', key('stock', redis.call('HGET', job_key(id), 'account') or '', place), text, 'PX', keep_ms)
return 'ok'
