-- Whether a process may bind numbers, or let money move: it is in the life for which it found a witness, and lives. One that was silent
-- for so long that no gate would wait for it when the server dies must find a witness again.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
local function is_witnessed(worker, life)
  if redis.call('HGET', key('vouch', 'life'), worker) ~= life then return false end
  local seen = tonumber(redis.call('ZSCORE', key('workers'), worker) or '0')
  return seen >= now_ms() - tonumber(redis.call('HGET', key('epoch'), 'vouch_ms') or '0')
end

-- Counts a write of this process on this server; {count, epoch} is for its memory alone.
local function count_write(worker) return {redis.call('HINCRBY', key('vouch', 'counts'), worker, 1), redis.call('HGET', key('epoch'), 'number')} end
