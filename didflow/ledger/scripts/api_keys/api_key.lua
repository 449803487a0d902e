-- api_key: whose secret this is. Counts no request, so that it works on a server that takes no writes.
-- flags: no-writes
-- ARGV  SHA-256 of the secret ('' = none was given)
-- Reply {'key', record, 0} | {'unknown'} | {'expired'} | {'missing'}: none was given, and keys are in use | {'unused'}: none was given, and
--       no key was ever made
-- Twice: it only reads.
--- @include "include/api_key_found.lua"
local record, found = api_key_found(ARGV[1])
if not record then return {found} end
return {'key', found, 0}
