-- resolve: end a parked job with what a person found out.
-- ARGV  id, state, result (JSON), event members, retention_ms, taint_ms, detail, bought (JSON {numbers, usd}: what its open checkout took),
--       number, … (bought by nobody, and for a day by none of us)
-- Reply 'gone' | 'ok' | the state that it has, if it isn't parked
-- Twice: the second run finds the result that the first one wrote.
local id, state, result, body, retention_ms, taint_ms, detail = unpack(ARGV, 1, 7)
local job = job_key(id)
local f = redis.call('HMGET', job, 'state', 'result', 'account')
if not f[1] then return 'gone' end
if f[1] ~= 'needs_review' then return f[2] == result and 'ok' or f[1] end
local account, ends = f[3] or '', now_ms() + tonumber(taint_ms)
local function keep_if_ours(number)
  if redis.call('HGET', key('reserved', account), number) == id .. '|0' then keep_reserved(id, account, number, ends) end
end
for i = 9, #ARGV do keep_if_ours(ARGV[i]) end
-- What is ours by now isn't to be bought either, whatever an old list of the stock says.
for _, number in ipairs(redis.call('SMEMBERS', job .. ':reserved')) do keep_if_ours(number) end
settle_spend(id, cjson.decode(ARGV[8]), now_ms())
step(id, '0', 'resolved', detail)
redis.call('HSET', job, 'reason', '')
conclude(id, state, result, body, tonumber(retention_ms))
return 'ok'
