-- group_delete: delete a consumer group with all that it knows.
-- ARGV  the stream ('results', 'events' or 'requests'), the group
-- Reply 'ok' | 'gone'
-- Twice: the second run finds none.
--- @include "include/audit.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
local destroyed = redis.pcall('XGROUP', 'DESTROY', key(ARGV[1]), ARGV[2])
if type(destroyed) ~= 'number' or destroyed == 0 then return 'gone' end
note_decision('results delete-group', ARGV[2], CALLING_ACTOR, 'of ' .. ARGV[1])
return 'ok'
