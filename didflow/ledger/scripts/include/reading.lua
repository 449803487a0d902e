--- @include "include/keys.lua"
local function json(text)
  if text == false or text == nil or text == '' then return 'null' end
  return cjson.encode(text)
end

-- A count or a moment that a field holds. What is damaged, or so large that nothing ever counts to it, reads as `otherwise`:
-- one damaged job must not stop a script that looks after all of them.
local function whole(text, otherwise)
  if text and #text <= 15 and string.match(text, '^%d+$') then return tonumber(text) end
  return otherwise
end

local function json_int(text)
  local n = whole(text)
  return n and int(n) or 'null'
end

-- Adds to a count of a job; an unreadable count restarts at `anew`.
local function count_up(id, field, by, anew)
  local n = math.max(0, whole(redis.call('HGET', job_key(id), field), anew or 0) + by)
  redis.call('HSET', job_key(id), field, int(n))
  return n
end

-- Whether a job's time hasn't come. What lies beyond the year 9999 is damage, and nothing to wait for.
local function is_early(due_ms, now)
  local due = whole(due_ms, 0)
  return due > now and due < 253402300800000
end

-- A token later than now by this was never issued before; for a job whose own token can't be read.
local UNREADABLE_TOKEN = 1000000000
