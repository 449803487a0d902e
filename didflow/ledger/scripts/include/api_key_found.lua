-- Whose secret has this digest ('' = none was given): its record and the record's text; or nil and why there is none, see api_key.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
local function api_key_found(digest)
  if digest == '' then return nil, redis.call('EXISTS', key('api_keys', 'made')) == 1 and 'missing' or 'unused' end
  local text = redis.call('HGET', key('api_keys'), digest)
  if not text then return nil, 'unknown' end
  local record = cjson.decode(text)
  if record.until_ms > 0 and record.until_ms <= now_ms() then return nil, 'expired' end
  return record, text
end
