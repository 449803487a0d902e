-- apply: apply the next part of a staged write. After a crash, the next attempt finishes this before it reads the numbers.
-- ARGV  id, token
-- Reply 'more' | 'done' | 'lost'
-- Twice: the second run makes the next part true.
-- flags: allow-oom
--- @include "include/batches.lua"
--- @include "include/keys.lua"
--- @include "include/number_writes.lua"
--- @include "include/tokens.lua"
local id, token = ARGV[1], ARGV[2]
if not holds(id, token) then return 'lost' end
local job = job_key(id)
local f = redis.call('HMGET', job, 'account', 'staged')
if f[2] ~= '1' then return 'done' end
local part = redis.call('LPOP', job .. ':staged')
if part then
  local family, caller = route_caller(id, token)
  part = cjson.decode(part)
  write_numbers(id, f[1], family, caller, part)
  write_progress(family, part.progress)
end
if redis.call('EXISTS', job .. ':staged') == 1 then return 'more' end
redis.call('HDEL', job, 'staged')
return 'done'
