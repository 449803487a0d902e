-- catalogue_feed: keep a whole list that a job read for itself, unless a look is kept that is newer, or older by less than `again_ms`.
-- ARGV  account, question, began_ms, look (text), kept_ms (how long looks are kept), most (looks of the account), most_bytes (of them together),
--       again_ms
-- Reply 'ok' | 'older' (another one is kept)
-- Twice: the second run finds what the first has kept.
--- @include "include/catalogue.lua"
--- @include "include/keys.lua"
local account, question, began_ms, text = unpack(ARGV, 1, 4)
local known = redis.call('ZSCORE', key('catalogue', 'began', account), question)
if known and tonumber(known) > tonumber(began_ms) - tonumber(ARGV[8]) then return 'older' end
return keep_look(account, question, began_ms, text, tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]))
