-- quarantine: keep our own search off numbers that we are about to give back, and mark them as going: from here on a purchase is given
-- none of them, until this release has settled what became of it.
-- ARGV  id, token, quarantine_ms, number, …
-- Reply {'ok', number, …} (those that stay: assigned after this job was submitted, or to a purchase that is running) | {'lost'}
-- Twice: sets the same reservations, a moment later, and the same marks.
-- flags: allow-oom
--- @include "include/clock.lua"
--- @include "include/histories.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
--- @include "include/tokens.lua"
local id, token = ARGV[1], ARGV[2]
if not holds(id, token) then return {'lost'} end
local f = redis.call('HMGET', job_key(id), 'account', 'order')
local account, order, stays = f[1], whole(f[2], 0), {'ok'}
local happened = {}
local ends = int(now_ms() + tonumber(ARGV[3]))
for i = 4, #ARGV do
  local has, since = string.match(redis.call('HGET', key('handed_out', account), ARGV[i]) or '', '^%d+|([^|]*)|(%d+)$')
  if has and (tonumber(since) > order or redis.call('HGET', key('reserved', account), ARGV[i]) == has .. '|0') then
    stays[#stays + 1] = ARGV[i]
  else
    redis.call('HSET', key('reserved', account), ARGV[i], 'quarantine|' .. ends)
    redis.call('HSET', key('going', account), ARGV[i], id)
    redis.call('ZADD', key('reserved_until'), ends, account .. '|' .. ARGV[i])
    happened[ARGV[i]] = '"what":"quarantined"'
  end
end
tell_history(id, happened)
return stays
