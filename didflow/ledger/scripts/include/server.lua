-- Who this server is: it has another name after a restart, a restored backup or a failover, and may then have lost its last writes.
local SERVER
local function server()
  if FAKE then return 'fakeredis' end
  if not SERVER then
    local said = redis.call('INFO', 'server', 'replication')
    -- Found as plain text first: a pattern that may begin anywhere takes as long again as the INFO.
    local function field(name)
      local _, ends = string.find(said, name, 1, true)
      return ends and string.match(said, '^%w+', ends + 1) or ''
    end
    SERVER = field('run_id:') .. ':' .. field('master_replid:')
  end
  return SERVER
end
