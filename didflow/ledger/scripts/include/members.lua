-- A member of a sorted set that names two things; the second has no bar in it. Only these two functions make and split such members.
local function member_of(first, second) return first .. '|' .. second end

local function split_member(member) return string.match(member, '^(.*)|([^|]*)$') end
