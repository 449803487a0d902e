-- What a release has parked, or is about to park: number -> {release_job, was: the order before it (see routes.lua),
-- ways: JSON in a text, the route that it had and where it is parked ('' until they are read),
-- wanted: JSON in a text, the route that another job requested meanwhile ('' = none), wanted_order, wanted_by: that job}.
-- The number gets the wanted route if it stays. Routes stay texts: an empty list would come out of cjson as an object.
--- @include "include/keys.lua"
--- @include "include/records.lua"
--- @include "include/route_claims.lua"
--- @include "include/states.lua"
local PARKED = {'release_job', 'string', 'was', 'number', 'ways', 'string', 'wanted', 'string', 'wanted_order', 'number', 'wanted_by', 'string'}

local function read_parked(account, number) return read_record(PARKED, redis.call('HGET', key('parked', account), number)) end

local function write_parked(account, number, parked) redis.call('HSET', key('parked', account), number, record_text(PARKED, parked)) end

-- A release takes the number, of which another job was the newest to route it. What an ended release left parked keeps its ways, and the
-- route that was wanted for it, until the new one has read where it goes.
local function take_parked(id, account, number, order, job)
  local parked = read_parked(account, number)
  if parked and parked.release_job == id then return end
  if not parked then
    parked = {was = order, ways = '', wanted = ''}
  elseif parked.release_job ~= job then
    parked.was = order
  end
  parked.release_job, parked.wanted_order, parked.wanted_by = id, 0, ''
  write_parked(account, number, parked)
end

-- The release has read where the number goes. What was wanted before it came is one of its ways now, or done with.
local function note_ways(id, account, number, ways)
  local parked = read_parked(account, number)
  if not parked or parked.release_job ~= id then return end
  parked.ways = ways
  if parked.wanted_order == 0 then parked.wanted = '' end
  write_parked(account, number, parked)
end

-- A job that is no release routes the number: what an ended release left of it is done with.
local function forget_left_parked(account, number)
  local parked = read_parked(account, number)
  if not parked then return end
  local state = redis.call('HGET', job_key(parked.release_job), 'state')
  if not state or OVER[state] then redis.call('HDEL', key('parked', account), number) end
end

-- Another job asks for a route of a number that the release `holder` has. False if that has it no more, or a newer wish is there.
local function want_route(account, number, holder, by, order, route)
  local parked = read_parked(account, number)
  if not parked or parked.release_job ~= holder or parked.release_job == by then return false end
  if order < parked.was or order < parked.wanted_order then return false end
  parked.wanted_order, parked.wanted_by, parked.wanted = order, by, route
  write_parked(account, number, parked)
  return true
end

-- The release is done with the number, which may have stayed: then the job before it is the newest to route it again.
local function give_up_parked(id, account, number)
  local parked = read_parked(account, number)
  if not parked or parked.release_job ~= id then return end
  redis.call('HDEL', key('parked', account), number)
  local route = read_route(account, number)
  if not route or route.job ~= id then return end
  route.order = math.max(parked.was, parked.wanted_order)
  write_route(account, number, route)
end
