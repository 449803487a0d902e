-- audit_page: entries of the audit, and its ends, all of the same moment.
-- ARGV  after (id of an entry; '-' = from the oldest), count, 'forward'; or before ('+' = from the newest), count, 'back'
-- Reply {head ('' = none), cut ('' = none), {{id, {'entry', text}}, …}}
-- Twice: it writes nothing.
-- flags: no-writes
--- @include "include/keys.lua"
local from, count = ARGV[1], ARGV[2]
local edge = (from == '-' or from == '+') and from or '(' .. from
local entries
if ARGV[3] == 'back' then
  entries = redis.call('XREVRANGE', key('audit'), edge, '-', 'COUNT', count)
else
  entries = redis.call('XRANGE', key('audit'), edge, '+', 'COUNT', count)
end
return {redis.call('GET', key('audit', 'head')) or '', redis.call('GET', key('audit', 'cut')) or '', entries}
