-- rows: a part of a result that has too many numbers for one write, ahead of the `finish` that says how many parts there are.
-- ARGV  id, token, index, numbers (JSON), history (JSON {number: happened}, see tell_history; '' = none)
-- Reply 'ok' | 'lost'
-- Twice: the second run writes the same part.
-- flags: allow-oom
--- @include "include/batches.lua"
--- @include "include/histories.lua"
--- @include "include/keys.lua"
--- @include "include/tokens.lua"
local id, token, index, numbers, history = unpack(ARGV, 1, 5)
if not holds(id, token) then return 'lost' end
redis.call('HSET', job_key(id) .. ':rows', index, numbers)
if history ~= '' then tell_history((route_caller(id, token)), cjson.decode(history)) end
return 'ok'
