-- finish: the end of a job, or its parking: state, result and event in one; of several jobs in turn. May run when memory is full: what was done
-- must be written.
-- ARGV  for each job ten: id, token, state, result (JSON), event members (JSON members without braces), retention_ms, detail,
--       calls (see step), history (JSON {number: happened}, see tell_history; '' = none),
--       how many parts of the result's numbers are there already, see `rows`
-- Reply 'ok' | 'lost'; of several jobs a list of these, with an error where a key of the job has another type
-- Twice: the second run finds the state that this token wrote and changes nothing.
-- flags: allow-oom
--- @include "include/batches.lua"
--- @include "include/ending.lua"
--- @include "include/histories.lua"
--- @include "include/keys.lua"
--- @include "include/shared_writes.lua"
--- @include "include/steps.lua"
--- @include "include/tokens.lua"
local function finish(id, token, state, result, body, retention_ms, detail, calls, history, rows)
  local held, attempt = holds(id, token)
  if not held then
    if redis.call('HGET', job_key(id), 'ended_by') == token then return 'ok' end
    return 'lost'
  end
  step(id, attempt, state, detail, calls)
  if history and history ~= '' then tell_history((route_caller(id, token)), cjson.decode(history)) end
  conclude(id, state, result, body, tonumber(retention_ms), token, rows or '0')
  return 'ok'
end

if #ARGV <= 10 then return finish(unpack(ARGV)) end
local replies = {}
collect_shared_writes()
for first = 1, #ARGV, 10 do
  -- One that can't be written stops none of the others.
  local fine, reply = pcall(finish, unpack(ARGV, first, first + 9))
  replies[#replies + 1] = (fine or type(reply) == 'table') and reply or {err = tostring(reply)}
end
make_shared_writes()
return replies
