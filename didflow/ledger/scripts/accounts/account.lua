-- account: pause an account whose key or contract the provider refuses, let it continue, or say when the next job may probe it.
-- ARGV  account, 'pause' | 'resume' | 'probe', status, message, probe_ms, id, token (the attempt that found it out; '' = a person)
-- Reply 'changed' | 'same' | 'lost': one event per change, however many jobs run into it.
-- Twice: the second run finds the account as it should be.
--- @include "include/accounts.lua"
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/tokens.lua"
--- @include "include/wakes.lua"
local account, verb, status, message = unpack(ARGV, 1, 4)
-- One that lost its lease may speak of a key that has been corrected since.
if ARGV[6] ~= '' and not holds(ARGV[6], ARGV[7]) then return 'lost' end
local now, k = now_ms(), key('account', account)
local was = redis.call('HGET', k, 'paused') == '1'

if verb == 'probe' then
  if was then redis.call('HSET', k, 'probe_ms', int(now + tonumber(ARGV[5]))) end
  return 'same'
end
redis.call(verb == 'pause' and 'SADD' or 'SREM', key('accounts', 'paused'), account)
if verb == 'pause' then
  redis.call('SREM', key('waking'), k .. ':held')
  redis.call('HSET', k, 'probe_ms', int(now + tonumber(ARGV[5])))
  if was then return 'same' end
  redis.call('HSET', k, 'paused', '1', 'status', status, 'message', message, 'since_ms', int(now))
  emit_account(account, 'paused', status, message)
  return 'changed'
end
if not was then return 'same' end
redis.call('HSET', k, 'paused', '0')
emit_account(account, 'resumed', status, message)
wake_some(k .. ':held')
return 'changed'
