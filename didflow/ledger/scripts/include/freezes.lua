-- A freeze: no purchase and no release of the account begins, or of any account ('').
--- @include "include/keys.lua"
-- The record of the freeze that holds for the account, and whose freeze it is ('' = of all); nil if none does. One that can't be read
-- holds too.
local function freeze_of(account)
  local f = redis.call('HMGET', key('frozen'), '', account)
  if f[1] then return f[1], '' end
  return f[2] or nil, account
end
