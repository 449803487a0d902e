-- limits: the spend limits that a worker process starts with. Where they are others than those of the last one, that is in the audit.
-- ARGV  actor: user and host of the process; then for each account ('' = every reference): its name, its limits in words
-- Reply how many have changed
-- Twice: the second run finds them noted.
-- flags: allow-oom
--- @include "include/audit.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
local changed = 0
for i = 2, #ARGV, 2 do
  local name, limits = ARGV[i], ARGV[i + 1]
  local was = redis.call('HGET', key('limits'), name)
  if was ~= limits then redis.call('HSET', key('limits'), name, limits) end
  if was and was ~= limits then
    changed = changed + 1
    note_audit('limits', ARGV[1], '{"account":' .. json(name) .. '}', was .. ' -> ' .. limits)
  end
end
return changed
