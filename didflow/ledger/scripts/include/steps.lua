-- `actor`: the person whose decision it was. `calls` (JSON: [[call, fingerprint, answer], …], those since the step before) and `witness` where there are any.
--- @include "include/keys.lua"
local function step(id, attempt, name, detail, calls, witness, actor)
  local fields = {'attempt', attempt or '0', 'name', name, 'detail', detail or ''}
  if calls and calls ~= '' then fields[#fields + 1], fields[#fields + 2] = 'calls', calls end
  if witness and witness ~= '' then fields[#fields + 1], fields[#fields + 2] = 'witness', witness end
  if actor and actor ~= '' then fields[#fields + 1], fields[#fields + 2] = 'actor', actor end
  redis.call('XADD', job_key(id) .. ':steps', 'MAXLEN', '~', 2000, '*', unpack(fields))
end
