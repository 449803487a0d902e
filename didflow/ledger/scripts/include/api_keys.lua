-- Keys of the HTTP API.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
-- Whether a stored secret isn't valid any more.
local function has_expired(record) return record.until_ms > 0 and record.until_ms <= now_ms() end

-- The stored secrets that are valid, by their digest; those that aren't are deleted. There are a thousand at most, see api_key_create.
local function valid_secrets()
  local found, all = {}, redis.call('HGETALL', key('api_keys'))
  for i = 1, #all, 2 do
    local record = cjson.decode(all[i + 1])
    if has_expired(record) then
      redis.call('HDEL', key('api_keys'), all[i])
    else
      found[all[i]] = record
    end
  end
  return found
end
