-- take: take messages off a lane's queue and claim their jobs. A message is used up by that, whatever comes of it: from then on it is the lease
-- that brings the job back. What isn't ours is set aside, for a look.
-- ARGV  lane, how many at most, worker (process), consumer (within it), claimant (unique to this call), lease_ms, probe_ms,
--       version, runs_behind_gate (as for claim)
-- A job that may run only in a process of its own isn't claimed: 'alone' in its reply.
-- Reply {{{id, claim_job's reply}, …}, {length of a message that wasn't ours, …}, 1 if none was left, else 0}
-- Twice: the second run finds what the first one noted for this claimant, takes nothing more and replies with the same claims.
--- @include "include/claiming.lua"
--- @include "include/keys.lua"
--- @include "include/records.lua"
--- @include "include/restarts.lua"
--- @include "include/shared_writes.lua"
local TAKEN = {'claimant', 'string', 'jobs', 'table'}
local lane, most, consumer, claimant = ARGV[1], tonumber(ARGV[2]), ARGV[4], ARGV[5]
local lease_ms, probe_ms, version, runs_behind_gate = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]
local taken, queue, messages = key('taken', ARGV[3]), key('queue', lane), key('queue', lane .. '.msgs')
local epoch = notice_restart()
local claims, foreign = {}, {}

-- Each job once, however many of its messages there are: a second yes of the same claimant would be a second thread with its token.
local seen = {}
local function claim(id)
  if seen[id] then return false end
  seen[id] = true
  -- One of which a key has another type stops none of the others.
  local fine, reply = pcall(claim_job, id, claimant, lease_ms, probe_ms, version, runs_behind_gate, epoch, false)
  claims[#claims + 1] = {id, fine and reply or {'no', 'unreadable'}}
  return fine and reply[1] == 'yes'
end

local noted = read_record(TAKEN, redis.call('HGET', taken, consumer))
if noted and noted.claimant == claimant then
  for _, id in ipairs(noted.jobs) do claim(id) end
  return {claims, foreign, 0}
end

-- The job that a message nudges; nil for one that isn't ours. Ids of ours are plain.
local function nudged(body)
  local read, message = pcall(cjson.decode, body)
  if not read or type(message) ~= 'table' or type(message.args) ~= 'table' or type(message.kwargs) ~= 'table' then return nil end
  local id = message.args[1]
  if #message.args ~= 1 or next(message.kwargs) or type(id) ~= 'string' or #id > 200 or not string.match(id, '^[ -~]+$') then return nil end
  return id
end

local popped = redis.call('LPOP', queue, most) or {}
if #popped > 0 then
  local bodies = redis.call('HMGET', messages, unpack(popped))
  redis.call('HDEL', messages, unpack(popped))
  local mine = {}
  if #popped > 1 then collect_shared_writes() end
  for _, body in ipairs(bodies) do
    local id = body and nudged(body)
    if id then
      if claim(id) then mine[#mine + 1] = id end
    elseif body then
      foreign[#foreign + 1] = #body
      redis.call('LPUSH', key('queue', 'undecodable'), string.sub(body, 1, 10000))
      redis.call('LTRIM', key('queue', 'undecodable'), 0, 999)
    end
  end
  if #mine > 0 then redis.call('HSET', taken, consumer, record_text(TAKEN, {claimant = claimant, jobs = mine})) end
end
-- Nothing is left that anybody could be woken for.
local emptied = #popped < most or redis.call('EXISTS', queue) == 0
if emptied then redis.call('DEL', key('wake', lane)) end
if #popped > 1 then make_shared_writes() end  -- At the end: if it fails, the worker's repetition finds what was noted for its claimant.
return {claims, foreign, emptied and 1 or 0}
