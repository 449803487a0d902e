-- gate_accept: a person says that these are no job's: records that are owned, numbers that lie in the cart.
-- ARGV  account, record id or number, …
-- Reply how many were new
-- Twice: the second run finds them accepted.
local k, count = key('gate', ARGV[1], 'accepted'), 0
for i = 2, #ARGV do count = count + redis.call('SADD', k, ARGV[i]) end
return count
