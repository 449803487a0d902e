-- reuse_return: a person puts numbers back into the pool that were assigned; not those whose purchase hasn't ended.
-- ARGV  account, actor: who does, number, …
-- Reply {number, …} those that are back
-- Twice: the second run finds none.
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
--- @include "include/pool.lua"
--- @include "include/reservations.lua"
local account = ARGV[1]
local back = {}
for i = 3, #ARGV do
  local handed_out = read_handed_out(account, ARGV[i])
  if handed_out and not is_held_by(handed_out.job, account, ARGV[i]) then
    redis.call('HDEL', key('handed_out', account), ARGV[i])
    back[#back + 1] = ARGV[i]
  end
end
if #back > 0 then note_decision('pool return', ARGV[1], ARGV[2], table.concat(back, ' ')) end
return back
