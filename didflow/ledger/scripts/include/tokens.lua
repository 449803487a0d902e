-- Whether the attempt has the job, and its number if so. A token of an earlier epoch is invalid, even if its number was issued again: the claim that issued it may be lost.
--- @include "include/keys.lua"
--- @include "include/server.lua"
local function holds(id, token)
  local e = redis.call('HMGET', key('epoch'), 'server', 'number')
  if e[1] ~= server() or (tonumber(token) or 0) < tonumber(e[2]) then return false end
  local f = redis.call('HMGET', job_key(id), 'token', 'state', 'attempt')
  return f[1] == token and f[2] == 'running', f[3]
end
