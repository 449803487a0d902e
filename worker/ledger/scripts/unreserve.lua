-- unreserve: drop a reservation that no living job has.
-- ARGV  account, number, job id
-- Reply 'ok' | 'no' (the job lives, or the reservation is another one by now)
-- Twice: the second run finds none.
local account, number, id = unpack(ARGV, 1, 3)
local state = redis.call('HGET', job_key(id), 'state')
if state and not OVER[state] then return 'no' end
if redis.call('HGET', key('reserved', account), number) ~= id .. '|0' then return 'no' end
redis.call('HDEL', key('reserved', account), number)
return 'ok'
