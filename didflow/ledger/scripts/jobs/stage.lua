-- stage: a part of a write that is too large for one script. It means nothing until `save` says that the parts hold.
-- ARGV  id, token, index (from 0; the first one drops what an earlier attempt left), part (JSON, see write_numbers)
-- Reply 'ok' | 'lost'
-- Twice: a part that is there isn't added again.
-- flags: allow-oom
--- @include "include/keys.lua"
--- @include "include/tokens.lua"
local id, token, index = ARGV[1], ARGV[2], tonumber(ARGV[3])
if not holds(id, token) then return 'lost' end
local staged = job_key(id) .. ':staged'
local count = redis.call('LLEN', staged)
if index == 0 and count > 0 then
  redis.call('UNLINK', staged)
  count = 0
end
if count == index then redis.call('RPUSH', staged, ARGV[4]) end
return 'ok'
