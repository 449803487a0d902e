-- An ended job that isn't needed any more is kept only this much longer.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
local function shorten_retention(id, keep_ms)
  local until_ms = id and redis.call('ZSCORE', key('retention'), id)
  local soon_ms = now_ms() + keep_ms
  if until_ms and tonumber(until_ms) > soon_ms then redis.call('ZADD', key('retention'), int(soon_ms), id) end
end
