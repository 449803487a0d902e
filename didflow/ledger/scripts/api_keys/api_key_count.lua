-- api_key_count: count a request that was made without the key's secret, such as one of a console session that acts with the key.
-- flags: allow-oom
-- ARGV  the key's id, its rate: requests a second
-- Reply how long until the key may send a request, ms; 0: it may send this one
-- Twice: the second run counts one request more.
--- @include "include/key_rate.lua"
return count_request(ARGV[1], tonumber(ARGV[2]))
