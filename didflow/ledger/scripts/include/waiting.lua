-- The job waits for none of what jobs wait for together. One that runs doesn't, since its claim.
--- @include "include/keys.lua"
local function wait_no_more(id, account)
  redis.call('ZREM', key('account', account, 'held'), id)
  redis.call('ZREM', key('gate', account, 'held'), id)
  redis.call('ZREM', key('rate', account, 'down'), id)
  redis.call('ZREM', key('frozen', 'held'), id)
end
