-- letter_drop: delete an entry of a dead-letter stream, permanently.
-- ARGV  the stream, in parts: 'results' 'poison' or 'requests' 'dead', id of the entry, its name as people see it
-- Reply 'ok' | 'gone'
-- Twice: the second run finds it gone.
--- @include "include/audit.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
if redis.call('XDEL', key(ARGV[1], ARGV[2]), ARGV[3]) == 0 then return 'gone' end
note_decision('dead-letters drop', ARGV[4], CALLING_ACTOR)
return 'ok'
