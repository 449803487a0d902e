-- undecodable: the messages on the queues that weren't ours, newest first, and dropping some of them. In hex: they may be any bytes.
-- ARGV  how many to return, then hex of a message to drop, and its name as people see it, …
-- Reply {hex of a message that is left, …}
-- Twice: the second run finds none of them left.
--- @include "include/audit.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
local list = key('queue', 'undecodable')
for i = 2, #ARGV, 2 do
  local message = string.gsub(ARGV[i], '%x%x', function(byte) return string.char(tonumber(byte, 16)) end)
  if redis.call('LREM', list, 0, message) > 0 then note_decision('dead-letters drop', ARGV[i + 1], CALLING_ACTOR) end
end
local replies = {}
for _, message in ipairs(redis.call('LRANGE', list, 0, tonumber(ARGV[1]) - 1)) do
  replies[#replies + 1] = string.gsub(message, '.', function(byte) return string.format('%02x', string.byte(byte)) end)
end
return replies
