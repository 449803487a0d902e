-- nudge: put a job's message on the queue of its lane, where none waits already. A job that isn't due stays as it is.
-- ARGV  id
-- Reply 1, or 0 if there is no such job, or if it has ended
-- Twice: the second run finds the message of the first one, or sends one more, of which nothing comes.
--- @include "include/keys.lua"
--- @include "include/nudges.lua"
--- @include "include/states.lua"
local f = redis.call('HMGET', job_key(ARGV[1]), 'state', 'lane', 'nudges')
if not f[1] or OVER[f[1]] then return 0 end
if not has_message(ARGV[1], f[2], f[3]) then nudge(ARGV[1], f[2]) end
return 1
