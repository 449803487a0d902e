-- reuse_return: a person puts numbers back into the pool that were assigned; not those whose purchase hasn't ended.
-- ARGV  account, actor: who does, number, …
-- Reply {number, …} those that are back
-- Twice: the second run finds none.
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
local account = ARGV[1]
local handed_out, back = key('handed_out', account), {}
for i = 3, #ARGV do
  local id = string.match(redis.call('HGET', handed_out, ARGV[i]) or '', '^%d+|([^|]*)|')
  if id and redis.call('HGET', key('reserved', account), ARGV[i]) ~= id .. '|0' then
    redis.call('HDEL', handed_out, ARGV[i])
    back[#back + 1] = ARGV[i]
  end
end
if #back > 0 then note_decision('pool return', ARGV[1], ARGV[2], table.concat(back, ' ')) end
return back
