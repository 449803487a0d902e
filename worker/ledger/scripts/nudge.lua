-- nudge: put a message for a due job on its lane's queue once more.
-- ARGV  id, renudge_ms
-- Reply 'ok' | 'no' (it isn't due)
-- Twice: one more message, and a message too many changes nothing.
local f = redis.call('HMGET', job_key(ARGV[1]), 'state', 'lane', 'due_ms')
local now = now_ms()
if f[1] ~= 'queued' and f[1] ~= 'waiting' and f[1] ~= 'scheduled' then return 'no' end
if is_early(f[3], now) then return 'no' end
enqueue(ARGV[1], f[2], now, tonumber(ARGV[2]))
return 'ok'
