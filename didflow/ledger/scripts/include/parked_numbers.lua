-- What a release has parked, or is about to park: number -> JSON {release, was: the order before it (see routes.lua),
-- ways: JSON in a text, the route that it had and where it is parked ('' until they are read),
-- wanted: JSON in a text, the route that another job requested meanwhile ('' = none), wanted_order, wanted_by: that job}.
-- The number gets the wanted route if it stays. Routes stay texts: an empty list would come out of cjson as an object.
--- @include "include/keys.lua"
--- @include "include/states.lua"
local PARKED_FIELDS = {release = 'string', was = 'number', ways = 'string', wanted = 'string', wanted_order = 'number', wanted_by = 'string'}

local function read_parked(account, number)
  local read, parked = pcall(cjson.decode, redis.call('HGET', key('parked', account), number) or '')
  if not read or type(parked) ~= 'table' then return nil end
  for field, kind in pairs(PARKED_FIELDS) do
    if type(parked[field]) ~= kind then return nil end
  end
  return parked
end

local function write_parked(account, number, parked)
  redis.call('HSET', key('parked', account), number, cjson.encode(parked))
end

-- A release takes the number, of which another job was the newest to route it. What an ended release left parked keeps its ways, and the
-- route that was wanted for it, until the new one has read where it goes.
local function take_parked(id, account, number, order, job)
  local parked = read_parked(account, number)
  if parked and parked.release == id then return end
  if not parked then
    parked = {was = order, ways = '', wanted = ''}
  elseif parked.release ~= job then
    parked.was = order
  end
  parked.release, parked.wanted_order, parked.wanted_by = id, 0, ''
  write_parked(account, number, parked)
end

-- The release has read where the number goes. What was wanted before it came is one of its ways now, or done with.
local function note_ways(id, account, number, ways)
  local parked = read_parked(account, number)
  if not parked or parked.release ~= id then return end
  parked.ways = ways
  if parked.wanted_order == 0 then parked.wanted = '' end
  write_parked(account, number, parked)
end

-- A job that is no release routes the number: what an ended release left of it is done with.
local function forget_left_parked(account, number)
  local parked = read_parked(account, number)
  if not parked then return end
  local state = redis.call('HGET', job_key(parked.release), 'state')
  if not state or OVER[state] then redis.call('HDEL', key('parked', account), number) end
end

-- Another job asks for a route of a number that the release `holder` has. False if that has it no more, or a newer wish is there.
local function want_route(account, number, holder, by, order, route)
  local parked = read_parked(account, number)
  if not parked or parked.release ~= holder or parked.release == by then return false end
  if order < parked.was or order < parked.wanted_order then return false end
  parked.wanted_order, parked.wanted_by, parked.wanted = order, by, route
  write_parked(account, number, parked)
  return true
end

-- The release is done with the number, which may have stayed: then the job before it is the newest to route it again.
local function give_up_parked(id, account, number)
  local parked = read_parked(account, number)
  if not parked or parked.release ~= id then return end
  redis.call('HDEL', key('parked', account), number)
  local entry = redis.call('HGET', key('routes', account), number) or ''
  local job, rest = string.match(entry, '^%d+|([^|]*)(|.*)$')
  if job == id then redis.call('HSET', key('routes', account), number, int(math.max(parked.was, parked.wanted_order)) .. '|' .. job .. rest) end
end
