-- dialect: note in which dialect a read of the account's owned list went well just now. Best effort: each process can detect it itself.
-- ARGV  account, server (a digest of its address), path, key_in, keep_ms
-- Reply 'new' | 'same'
-- Twice: it writes the same again, with a later time.
-- flags: allow-oom
--- @include "include/clock.lua"
--- @include "include/keys.lua"
local account, server, path, key_in, keep_ms = unpack(ARGV, 1, 5)
local k, now = key('dialect', account), now_ms()
local was = redis.call('HMGET', k, 'server', 'path', 'key_in')
local same = was[1] == server and was[2] == path and was[3] == key_in
redis.call('HSET', k, 'server', server, 'path', path, 'key_in', key_in, 'confirmed_ms', int(now))
if not same then redis.call('HSET', k, 'found_ms', int(now)) end
redis.call('PEXPIRE', k, keep_ms)
return same and 'same' or 'new'
