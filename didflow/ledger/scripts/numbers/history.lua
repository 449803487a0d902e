-- history: a number's history as it is stored; its head and its entries at one moment.
-- ARGV  number
-- Reply {head (false: none), {entry, …} oldest first}: see tell_history
-- Twice: it writes nothing.
-- flags: no-writes
--- @include "include/keys.lua"
return {redis.call('HGET', key('history'), ARGV[1]), redis.call('LRANGE', key('history', ARGV[1]), 0, -1)}
