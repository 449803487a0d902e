-- dry_runs: which jobs of a list are dry runs. Only that is returned: a request may be large.
-- ARGV  ids of the jobs on a page, …
-- Reply the ids of those that are
-- Twice: it writes nothing.
-- flags: no-writes
--- @include "include/keys.lua"
local found = {}
for _, id in ipairs(ARGV) do
  -- As it was written, without spaces. In a text within the request the quotes are escaped.
  if string.find(redis.call('HGET', job_key(id), 'request') or '', '"dry_run":true', 1, true) then found[#found + 1] = id end
end
return found
