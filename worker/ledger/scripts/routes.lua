-- routes: the newest request per number goes first, whatever the order of execution.
-- ARGV  id, token, number, …
-- Reply {'lost'} or {'ok', number, …}: those for which a newer job exists
-- Twice: a job is never newer than itself, so the second run replies the same.
-- flags: allow-oom
local id, token = ARGV[1], ARGV[2]
if not holds(id, token) then return {'lost'} end
local f = redis.call('HMGET', job_key(id), 'account', 'order')
local routes, mine, reply = key('routes', f[1]), tonumber(f[2]), {'ok'}
for i = 3, #ARGV do
  local newest = tonumber(redis.call('HGET', routes, ARGV[i]) or '0')
  if newest > mine then
    reply[#reply + 1] = ARGV[i]
  else
    redis.call('HSET', routes, ARGV[i], f[2])
  end
end
return reply
