-- Lists a job under the incident that it belongs to. An incident began with its first job.
--- @include "include/keys.lua"
local function list_under_incident(name, id, created_ms)
  redis.call('HSET', job_key(id), 'incident', name)
  redis.call('ZADD', key('incident', name), int(created_ms), id)
  redis.call('ZADD', key('incidents'), 'LT', int(created_ms), name)
end

-- An incident is kept as long as one of its jobs.
local function unlist_from_incident(name, id)
  redis.call('ZREM', key('incident', name), id)
  if redis.call('EXISTS', key('incident', name)) == 0 then redis.call('ZREM', key('incidents'), name) end
end
