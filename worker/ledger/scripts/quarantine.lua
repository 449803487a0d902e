-- quarantine: keep our own search off numbers that we are about to give back.
-- ARGV  id, token, quarantine_ms, number, …
-- Reply 'ok' | 'lost'
-- Twice: sets the same reservations, a moment later.
-- flags: allow-oom
local id, token = ARGV[1], ARGV[2]
if not holds(id, token) then return 'lost' end
local happened = {}
local account = redis.call('HGET', job_key(id), 'account')
local ends = int(now_ms() + tonumber(ARGV[3]))
for i = 4, #ARGV do
  redis.call('HSET', key('reserved', account), ARGV[i], 'quarantine|' .. ends)
  redis.call('ZADD', key('reserved_until'), ends, account .. '|' .. ARGV[i])
  happened[ARGV[i]] = '"what":"quarantined"'
end
tell_history(id, happened)
return 'ok'
