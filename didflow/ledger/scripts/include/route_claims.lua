-- The newest job that routes a number, and calls that may still act. `order`: the job's; `job`: for a batch its parent; `caller`: the attempt, as
-- route_caller says; `open_ms`: its call may be out since then (0: none is); `disturbed_ms`: the newest call of an earlier job that was never
-- answered; `answered_ms`: when the newest answered one was.
--- @include "include/keys.lua"
--- @include "include/records.lua"
local ROUTE = {'order', 'number', 'job', 'string', 'caller', 'string', 'open_ms', 'number', 'disturbed_ms', 'number', 'answered_ms', 'number'}

-- nil if there is none, or if it can't be read; then the second value is true.
local function read_route(account, number)
  local text = redis.call('HGET', key('routes', account), number)
  local route = read_record(ROUTE, text)
  return route, text and not route
end

local function write_route(account, number, route) redis.call('HSET', key('routes', account), number, record_text(ROUTE, route)) end

-- What this text says of the number; an empty entry for none.
local function route_to_claim(number, text)
  local route = read_record(ROUTE, text)
  assert(route or not text, 'who routes ' .. number .. ' last can not be read: another program wrote it')
  return route or {order = 0, job = '', caller = '', open_ms = 0, disturbed_ms = 0, answered_ms = 0}
end

-- Makes the entry this job's, which isn't older than the one that it names. Returns since when other calls may act on the number (0: none may),
-- among them the newest that was answered since seen_ms; and, where no call is without an answer, the job whose was answered.
local function claim_route(route, order, family, caller, seen_ms)
  local job, answered_by = route.job, nil
  local unanswered = math.max(route.disturbed_ms, route.caller == caller and job == family and 0 or route.open_ms)
  if job ~= family and route.answered_ms ~= 0 and route.answered_ms >= seen_ms then
    if unanswered == 0 then answered_by = job end
    unanswered = math.max(unanswered, route.answered_ms)
  end
  -- An earlier attempt of this job wants the same route; later jobs must still wait for its call.
  local since_ms = job == family and route.disturbed_ms or unanswered
  -- A call without an answer isn't repeated, so an open entry of this attempt stays as it is.
  local open_ms = job == family and route.caller == caller and route.open_ms or 0
  route.order, route.job, route.caller, route.open_ms, route.disturbed_ms = order, family, caller, open_ms, unanswered
  return since_ms, answered_by
end
