-- gate_check: take one's turn in looking for what may be lost, if the account's gate is closed. Also notices a restart by itself.
-- ARGV  account, checker (a process), turn_ms (no other process gets it for this long), cart_epoch (in which the checker just saw a cart with
--       nothing unknown in it; '' = it didn't look)
-- Reply {'open'} | {'wait'} | {'check', epoch, since_ms, after_ms (what was written before is there), purchases that are open,
--       cart_ms (when the cart was seen with nothing unknown in this epoch; 0 = not yet)}
-- Twice: the checker has the turn and keeps it; the cart was first seen when it was first seen.
-- flags: allow-oom
--- @include "include/clock.lua"
--- @include "include/gates.lua"
--- @include "include/keys.lua"
--- @include "include/restarts.lua"
local account, checker, turn_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local number = notice_restart()
if not gate_closed(account) then return {'open'} end
local now, k = now_ms(), key('gate', account)
local g = redis.call('HMGET', k, 'checker', 'check_ms', 'epoch', 'cart_epoch', 'cart_ms')
if g[1] and g[1] ~= checker and tonumber(g[2] or '0') > now then return {'wait'} end
redis.call('HSET', k, 'checker', checker, 'check_ms', int(now + turn_ms))
local cart_ms = g[4] == number and g[5] or '0'
if cart_ms == '0' and ARGV[4] == number then
  cart_ms = int(now)
  redis.call('HSET', k, 'cart_epoch', number, 'cart_ms', cart_ms)
end
-- Every restart since this account was last let through may have lost something.
local after = now
local epochs = redis.call('ZRANGE', key('epoch', 'after'), 0, -1, 'WITHSCORES')
for i = 1, #epochs, 2 do
  if tonumber(epochs[i]) > tonumber(g[3] or '1') then after = math.min(after, tonumber(epochs[i + 1])) end
end
return {'check', number, redis.call('HGET', key('epoch'), 'since_ms'), int(after), redis.call('SCARD', key('open', account)), cart_ms}
