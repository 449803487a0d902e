-- resolve: end a parked job with what a person found out.
-- ARGV  id, token (as it was when the person looked: each attempt raises it), state, result (JSON), event members, retention_ms, taint_ms, detail, bought (JSON {numbers, usd}: what its open checkout took),
--       number, … (bought by nobody, and for a day by none of us)
-- Reply 'gone' | 'ok' | the state that it has, if it isn't parked | 'looked again' (parked anew since: the finding is old)
-- Twice: the second run finds the result that the first one wrote.
local id, token, state, result, body, retention_ms, taint_ms, detail = unpack(ARGV, 1, 8)
local job = job_key(id)
local f = redis.call('HMGET', job, 'state', 'result', 'account', 'token')
if not f[1] then return 'gone' end
if f[1] ~= 'needs_review' then return f[2] == result and 'ok' or f[1] end
if f[4] ~= token then return 'looked again' end
local reserved, ends = key('reserved', f[3] or ''), int(now_ms() + tonumber(taint_ms))
for i = 10, #ARGV do
  if redis.call('HGET', reserved, ARGV[i]) == id .. '|0' then
    redis.call('HSET', reserved, ARGV[i], id .. '|' .. ends)
    redis.call('ZADD', key('reserved_until'), ends, (f[3] or '') .. '|' .. ARGV[i])
  end
end
settle_spend(id, cjson.decode(ARGV[9]), now_ms())
step(id, '0', 'resolved', detail)
redis.call('HSET', job, 'reason', '')
conclude(id, state, result, body, tonumber(retention_ms))
return 'ok'
