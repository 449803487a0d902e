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
