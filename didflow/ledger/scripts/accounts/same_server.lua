-- same_server: this server has all that the one before had when it ended, so no restart is noticed: nothing can be lost.
-- ARGV  before (the name of the server that ended, as `server` gives it)
-- Reply 'changed' | 'same' (it has this server's name already) | 'other' (the ledger was last written on another server)
-- Twice: the second run finds it done.
-- flags: allow-oom
--- @include "include/keys.lua"
--- @include "include/server.lua"
local k = key('epoch')
local noted = redis.call('HGET', k, 'server')
if noted == server() then return 'same' end
if noted ~= ARGV[1] then return 'other' end
redis.call('HSET', k, 'server', server())
return 'changed'
