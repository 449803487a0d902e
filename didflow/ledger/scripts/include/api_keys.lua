-- Keys of the HTTP API.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
-- Whether a stored secret isn't valid any more.
local function has_expired(record) return record.until_ms > 0 and record.until_ms <= now_ms() end

-- Delete what is noted of a key.
local function forget_key(id)
  redis.call('HDEL', key('api_keys', 'used'), id)
  redis.call('HDEL', key('api_keys', 'sent'), id)
end

-- The stored secrets that are valid, by their digest; those that aren't are deleted. There are a thousand at most, see api_key_create.
local function valid_secrets()
  local found, all, ids, expired = {}, redis.call('HGETALL', key('api_keys')), {}, {}
  for i = 1, #all, 2 do
    local record = cjson.decode(all[i + 1])
    if has_expired(record) then
      redis.call('HDEL', key('api_keys'), all[i])
      expired[record.id] = true
    else
      found[all[i]] = record
      ids[record.id] = true
    end
  end
  for id in pairs(expired) do
    if not ids[id] then forget_key(id) end
  end
  return found
end

-- The id of the valid key that a person means: the key's id, or its name. A key whose id it is goes before one of that name.
local function key_named(valid, name)
  local found
  for _, record in pairs(valid) do
    if record.id == name then return name end
    if record.name == name then found = record.id end
  end
  return found
end
