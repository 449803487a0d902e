-- Numbers that a release is about to give back, or has begun to.
--- @include "include/keys.lua"
--- @include "include/states.lua"
-- Whether a release may have this number under way. Its mark holds until the release is settled, however long that takes.
local function may_be_going(account, number)
  local release = redis.call('HGET', key('going', account), number)
  if not release then return false end
  local state = redis.call('HGET', job_key(release), 'state')
  if state and not OVER[state] then return true end
  redis.call('HDEL', key('going', account), number)
  return false
end

-- The release has settled what became of the number, or has sent nothing.
local function goes_no_more(id, account, number)
  if redis.call('HGET', key('going', account), number) == id then redis.call('HDEL', key('going', account), number) end
end
