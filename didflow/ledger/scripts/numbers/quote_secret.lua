-- quote_secret: return the secret that signs quotes; the first call creates it.
-- ARGV  secret (a new one, for the first)
-- Reply the secret of this namespace
-- Twice: the second run finds the first one's.
--- @include "include/keys.lua"
redis.call('SETNX', key('quote_secret'), ARGV[1])
return redis.call('GET', key('quote_secret'))
