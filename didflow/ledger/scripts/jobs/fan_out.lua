-- fan_out: submit batches of a running job, which any worker takes. They have their parent's account, lane, priority and order, are in no
-- list of jobs, and emit no events.
-- ARGV  id, token, v, kind, renudge_ms, then index, request (JSON), index, request, …
-- Reply 'ok' | 'lost' | 'cancelled' (the job was cancelled: nothing is begun)
-- Twice: a batch that is there, ended or not, is left as it is.
--- @include "include/keys.lua"
--- @include "include/new_batch.lua"
--- @include "include/tokens.lua"
local id, token, v, kind, renudge_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
if not holds(id, token) then return 'lost' end
if redis.call('HGET', job_key(id), 'cancel') == '1' then return 'cancelled' end
for i = 6, #ARGV, 2 do submit_batch(id, v, kind, ARGV[i], ARGV[i + 1], renudge_ms) end
return 'ok'
