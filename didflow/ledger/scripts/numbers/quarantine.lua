-- quarantine: keep our own search off numbers that we are about to give back, and mark them as going: from here on a purchase is given
-- none of them, until this release has settled what became of it.
-- ARGV  id, token, quarantine_ms, number, …
-- Reply {'ok', number, …} (those that stay: assigned after this job was submitted, or to a purchase that is running) | {'lost'}
-- Twice: sets the same reservations, a moment later, and the same marks.
-- flags: allow-oom
--- @include "include/clock.lua"
--- @include "include/histories.lua"
--- @include "include/keys.lua"
--- @include "include/pool.lua"
--- @include "include/reading.lua"
--- @include "include/reservations.lua"
--- @include "include/tokens.lua"
local id, token = ARGV[1], ARGV[2]
if not holds(id, token) then return {'lost'} end
local f = redis.call('HMGET', job_key(id), 'account', 'order')
local account, order, stays = f[1], whole(f[2], 0), {'ok'}
local happened = {}
local ends = now_ms() + tonumber(ARGV[3])
for i = 4, #ARGV do
  local number = ARGV[i]
  local handed_out = read_handed_out(account, number)
  if handed_out and (handed_out.order > order or is_held_by(handed_out.job, account, number)) then
    stays[#stays + 1] = number
  else
    keep_reserved('quarantine', account, number, ends)
    redis.call('HSET', key('going', account), number, id)
    happened[number] = happening('quarantined')
  end
end
tell_history(id, happened)
return stays
