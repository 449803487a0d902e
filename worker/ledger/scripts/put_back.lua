-- put_back: give a poison entry back to the consumer group that set it aside, and to no other: it is pending there anew, never handed out,
-- and so long idle that the first consumer that looks takes it over.
-- ARGV  id on the poison stream
-- Reply 'ok' | 'gone' (no such entry) | 'no_group' | 'trimmed' (the results stream doesn't have it any more); but for 'ok' it stays poison
-- Twice: the second run finds it gone.
local f = redis.call('XRANGE', key('results', 'poison'), ARGV[1], ARGV[1])[1]
if not f then return 'gone' end
local kept = {}
for i = 1, #f[2], 2 do kept[f[2][i]] = f[2][i + 1] end
local entry, group = kept.poison_entry or '', kept.poison_group or ''
if entry == '' or #redis.call('XRANGE', key('results'), entry, entry) == 0 then return 'trimmed' end
local DAY_MS = '86400000'
local said = redis.pcall('XCLAIM', key('results'), group, 'put_back', '0', entry, 'IDLE', DAY_MS, 'RETRYCOUNT', '0', 'FORCE', 'JUSTID')
if said.err then return 'no_group' end
redis.call('XDEL', key('results', 'poison'), ARGV[1])
return 'ok'
