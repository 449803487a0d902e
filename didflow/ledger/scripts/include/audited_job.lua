-- A change of a job by a person or a key, for the audit.
--- @include "include/audit.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
local function note_job_audit(what, actor, id, detail)
  local f = redis.call('HMGET', job_key(id), 'kind', 'account', 'reference')
  note_audit(what, actor, '{"job":' .. json(id) .. ',"kind":' .. json(f[1]) .. ',"account":' .. json(f[2]) .. ',"reference":' .. json(f[3]) .. '}', detail)
end
