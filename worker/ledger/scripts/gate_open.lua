-- gate_open: let an account's money calls through again, and wake the jobs that waited.
-- ARGV  account, epoch (in which all was looked for)
-- Reply 'changed' | 'same' | 'stale' (another epoch has begun: look again) | 'unsettled' (a purchase is open)
-- Twice: the second run finds it open.
-- flags: allow-oom
local account, epoch = ARGV[1], ARGV[2]
if notice_restart() ~= epoch then return 'stale' end
if not gate_closed(account) then return 'same' end
if redis.call('SCARD', key('open', account)) > 0 then return 'unsettled' end
local now, k = now_ms(), key('gate', account)
redis.call('HSET', k, 'epoch', epoch, 'findings', '', 'check_ms', '0')
announce('gate:' .. account .. ':' .. int(redis.call('HINCRBY', k, 'seq', 1)), 'didflow.ledger.gate_opened.v1', account,
  '{"account":' .. json(account) .. ',"epoch":' .. epoch .. '}')
for _, id in ipairs(redis.call('SMEMBERS', k .. ':held')) do
  redis.call('HSET', job_key(id), 'due_ms', '', 'unanswered', '0')
  look_at(id, redis.call('HGET', job_key(id), 'lane'), now)
end
redis.call('DEL', k .. ':held')
return 'changed'
