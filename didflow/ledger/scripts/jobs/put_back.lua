-- put_back: return a poison entry to its consumer group, and to no other: it is pending there again, never delivered,
-- and so long idle that the first consumer that looks takes it over.
-- ARGV  id where it was set aside, the stream ('results'), what is set aside's name behind that ('poison'), prefix of our fields in it,
--       its name as people see it
-- Reply 'ok' | 'gone' (no such entry) | 'no_group' | 'trimmed' (the stream doesn't have it any more); but for 'ok' it stays
-- Twice: the second run finds it gone.
--- @include "include/audit.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
local stream, aside, prefix = key(ARGV[2]), key(ARGV[2], ARGV[3]), ARGV[4]
local f = redis.call('XRANGE', aside, ARGV[1], ARGV[1])[1]
if not f then return 'gone' end
local kept = {}
for i = 1, #f[2], 2 do kept[f[2][i]] = f[2][i + 1] end
local entry, group = kept[prefix .. '_entry'] or '', kept[prefix .. '_group'] or ''
if entry == '' or #redis.call('XRANGE', stream, entry, entry) == 0 then return 'trimmed' end
local DAY_MS = '86400000'
local said = redis.pcall('XCLAIM', stream, group, 'put_back', '0', entry, 'IDLE', DAY_MS, 'RETRYCOUNT', '0', 'FORCE', 'JUSTID')
if said.err then return 'no_group' end
redis.call('XDEL', aside, ARGV[1])
note_decision('dead-letters replay', ARGV[5] or ARGV[1], CALLING_ACTOR)
return 'ok'
