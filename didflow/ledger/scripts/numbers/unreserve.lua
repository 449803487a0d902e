-- unreserve: drop a reservation that no living job has.
-- ARGV  account, number, job id, actor: who does
-- Reply 'ok' | 'no' (the job lives, or the reservation is another one by now)
-- Twice: the second run finds none.
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
--- @include "include/reservations.lua"
--- @include "include/states.lua"
local account, number, id, actor = unpack(ARGV, 1, 4)
local state = redis.call('HGET', job_key(id), 'state')
if state and not OVER[state] then return 'no' end
if not is_held_by(id, account, number) then return 'no' end
redis.call('HDEL', key('reserved', account), number)
note_decision('reconcile repair', number, actor, 'reservation of job ' .. id .. ' dropped')
return 'ok'
