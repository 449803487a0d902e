-- Notes who decided about the job last, so that its events say so.
--- @include "include/keys.lua"
local function decided_by(id, actor)
  if actor and actor ~= '' then redis.call('HSET', job_key(id), 'decided_by', actor) end
end
