-- catalogue_keep: keep a look that a job has made, unless a newer one is kept, and drop the oldest ones that are too much.
-- ARGV  id, token, question, began_ms, look (text), kept_ms (how long looks are kept), most (looks of the account), most_bytes (of them together)
-- Reply 'ok' | 'older' (a newer one is kept) | 'lost'
-- Twice: it writes the same again.
--- @include "include/catalogue.lua"
--- @include "include/keys.lua"
--- @include "include/tokens.lua"
local id, token, question, began_ms, text = unpack(ARGV, 1, 5)
if not holds(id, token) then return 'lost' end
local account = redis.call('HGET', job_key(id), 'account') or ''
return keep_look(account, question, began_ms, text, tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]))
