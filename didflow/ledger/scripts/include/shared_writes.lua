-- Writes of a job into keys that all jobs share: its places in sorted sets, and counts. A script that writes several jobs collects them and
-- makes them with one command for each key: a command costs the server more than what it writes. Any other script makes them at once.
--- @include "include/keys.lua"
local REMOVED, ADDED, COUNTED  -- by key; nil: nothing is collected

local function collect_shared_writes() REMOVED, ADDED, COUNTED = {}, {}, {} end

local function remove_from(sorted_set, id)
  if not REMOVED then
    redis.call('ZREM', sorted_set, id)
    return
  end
  local ids = REMOVED[sorted_set] or {}
  REMOVED[sorted_set], ids[#ids + 1] = ids, id
end

local function add_to(sorted_set, score, id)
  if not ADDED then
    redis.call('ZADD', sorted_set, score, id)
    return
  end
  local members = ADDED[sorted_set] or {}
  ADDED[sorted_set] = members
  members[#members + 1], members[#members + 2] = score, id
end

-- `kept_s`: the hash is deleted so long after a field of it was new.
local function add_to_count(hash, field, by, kept_s)
  if COUNTED then
    local fields = COUNTED[hash] or {}
    local so_far = fields[field]
    COUNTED[hash], fields[field] = fields, {(so_far and so_far[1] or 0) + by, kept_s}
    return
  end
  if redis.call('HINCRBY', hash, field, int(by)) == by and kept_s then redis.call('EXPIRE', hash, kept_s) end
end

-- Makes what was collected, at the end of the script. Where one of the keys has another type, the others are written all the same, and then the
-- script fails: the worker asks again.
local function make_shared_writes()
  local trouble
  local function try(write, ...)
    local fine, failed = pcall(write, ...)
    trouble = trouble or not fine and failed or nil
  end
  local removed, added, counted = REMOVED, ADDED, COUNTED
  REMOVED, ADDED, COUNTED = nil, nil, nil
  -- A job that stays in its state is taken off its list and added again.
  for sorted_set, ids in pairs(removed) do try(redis.call, 'ZREM', sorted_set, unpack(ids)) end
  for sorted_set, members in pairs(added) do try(redis.call, 'ZADD', sorted_set, unpack(members)) end
  for hash, fields in pairs(counted) do
    for field, count in pairs(fields) do try(add_to_count, hash, field, unpack(count)) end
  end
  if trouble then error(trouble, 0) end
end
