-- sweep: heal what the broker lost and what died. Correct however many run.
-- ARGV  batch (jobs of each kind at most), renudge_ms, max_crashes (of workers that ran nothing else meanwhile), retry_ms, retention_ms
-- Reply {nudged, recovered, parked, deleted, set back (jobs of which a key has another type: nothing can be done for them), 1 if more of some
--       kind is to be done now, else 0}
-- Twice: the second run finds less to do.
-- flags: allow-oom
--- @include "include/clock.lua"
--- @include "include/deaths.lua"
--- @include "include/ending.lua"
--- @include "include/events.lua"
--- @include "include/incidents.lua"
--- @include "include/keys.lua"
--- @include "include/lapsed.lua"
--- @include "include/members.lua"
--- @include "include/nudges.lua"
--- @include "include/reading.lua"
--- @include "include/records.lua"
--- @include "include/reservations.lua"
--- @include "include/restarts.lua"
--- @include "include/spending.lua"
--- @include "include/states.lua"
--- @include "include/steps.lua"
--- @include "include/wakes.lua"
local batch, renudge_ms, max_crashes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local retry_ms, retention_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
local now = now_ms()
-- A dead worker's job is to continue at once: a message of it that is lost, or with another worker that dies, is missed this soon.
local hurry_ms = math.min(1000, renudge_ms)
notice_restart()
-- What is written before this moment, and only that, is known to be kept if the server loses its last writes.
local told = redis.call('HMGET', key('epoch'), 'alive_ms', 'retention_ms')
if now - tonumber(told[1] or '0') >= 5000 or tonumber(told[2]) ~= retention_ms then
  redis.call('HSET', key('epoch'), 'alive_ms', int(now), 'retention_ms', int(retention_ms))
end
local nudged, recovered, parked, deleted, set_back = 0, 0, 0, 0, 0

local more = 0
local function due_now(zset)
  local found = redis.call('ZRANGEBYSCORE', key(zset), '-inf', int(now), 'LIMIT', 0, batch)
  if #found >= tonumber(batch) then more = 1 end
  return found
end

-- One job that can't be healed stops none of the others, and isn't checked again at once.
local function each_job(zset, heal)
  for _, id in ipairs(due_now(zset)) do
    if not pcall(heal, id) then
      redis.call('ZADD', key(zset), int(now + 600000), id)
      set_back = set_back + 1
    end
  end
end

-- Parks the job without what it wrote, which only a worker can read.
local function park(id, code, message)
  local error = '{"code":"' .. code .. '","message":"' .. message .. '","retryable":false}'
  redis.call('HSET', job_key(id), 'reason', code)
  conclude(id, 'needs_review', '{"totals":{"requested":0,"done":0},"error":' .. error .. '}', '"numbers":[],"error":' .. error, retention_ms)
  parked = parked + 1
end

-- For a job that isn't as its place in `zset` says: mostly it has gone on, but one in no state that there is would lie there for ever.
local function not_here(zset, id, state)
  redis.call('ZREM', key(zset), id)
  if zset == 'due' then redis.call('ZREM', key('due_first'), id) end
  for _, known in ipairs(STATES) do
    if state == known then return end
  end
  if redis.call('HEXISTS', job_key(id), 'request') == 0 then return end
  for _, known in ipairs(STATES) do redis.call('ZREM', key('state', known), id) end
  step(id, '0', 'unreadable_state', state or '')
  park(id, 'unreadable_state', 'the state of this job can not be read: its record is damaged, or another version wrote it')
end

local function heal_due(id)
  local f = redis.call('HMGET', job_key(id), 'state', 'lane', 'unanswered', 'nudges', 'crashes')
  if f[1] == 'queued' or f[1] == 'waiting' or f[1] == 'scheduled' then
    if f[1] == 'scheduled' then
      set_state(id, 'scheduled', 'queued')
      emit('events', id, 'queued', '')
    end
    -- In a backlog the message is there and only waits its turn: check less often each time, until a worker claims the job. A message
    -- that is still there after the third look may be in the hash and in no list. An emergency, and a dead worker's job, mustn't wait
    -- for that: of these another one is sent at each look.
    local unanswered, orphaned = whole(f[3], 0), whole(f[5], 0) > 0
    local again_ms = math.min((orphaned and hurry_ms or renudge_ms) * 2 ^ math.min(unanswered, 10), 600000)
    if f[2] ~= 'emergency' and not orphaned and unanswered % 4 ~= 0 and has_message(id, f[2], f[4]) then
      count_up(id, 'unanswered', 1)
      look_at(id, f[2], now + again_ms)
    else
      enqueue(id, f[2], now, again_ms)
      nudged = nudged + 1
    end
  else
    not_here('due', id, f[1])
  end
end

for _, waiting in ipairs(redis.call('SRANDMEMBER', key('waking'), 1)) do
  if wake_some(waiting) > 0 then more = 1 end
end

-- Emergencies first: of a backlog thousands are due for a look at any time, and an emergency that waits must not stand behind them.
each_job('due_first', heal_due)
each_job('due', heal_due)

each_job('leases', function(id)
  local job = job_key(id)
  local f = redis.call('HMGET', job, 'state', 'lane', 'attempt', 'owner', 'lease_ms', 'lease_for', 'alone', 'deaths', 'crashes',
    'sending', 'token')
  if f[1] ~= 'running' then return not_here('leases', id, f[1]) end
  -- A worker that still shows signs of life has lost the lease, not its life: it had no connection, or its thread gave up on the job.
  local ended_ms = whole(f[5], now)
  local seen = tonumber(redis.call('ZSCORE', key('workers'), worker_of(f[4])) or '0')
  local lives = seen > ended_ms - whole(f[6], 0) / 2
  local death = not lives and {alone = f[7] == '1', lease_ended_ms = ended_ms, worker = worker_of(f[4])} or nil
  local deaths, crashes, crashes_alone = true_deaths(f[8] or '', death)
  redis.call('HSET', job, 'deaths', deaths, 'crashes', int(crashes), 'crashes_alone', int(crashes_alone))
  -- If this server's clock has jumped, the worker takes its lease for valid for as long as it is long, and may send until then: see `sending`.
  if (f[10] or '') ~= '' and f[10] == f[11] then
    redis.call('HSET', key('frozen', 'lapsed'), id, record_text(LAPSED, {ended_ms = now, lease_ms = whole(f[6], 0)}))
  end
  count_up(id, 'token', 1, now + UNREADABLE_TOKEN)  -- from here the dead attempt can write nothing, if it isn't dead
  step(id, f[3], 'lease_expired', f[4] or '')
  if crashes_alone >= max_crashes then
    park(id, 'too_many_crashes', int(crashes_alone) .. ' workers died while they ran this job and no other: see `didflow explain` and their logs')
  else
    redis.call('ZREM', key('leases'), id)
    redis.call('HSET', job, 'owner', '', 'lease_ms', '', 'reason', 'retry')
    set_state(id, 'running', 'queued')
    emit('events', id, 'queued', '')
    -- Once is an accident; a job that kills more workers gives them time to come back.
    local delay = crashes > 1 and retry_ms or 0
    if delay > 0 then
      redis.call('HSET', job, 'due_ms', int(now + delay))
      look_at(id, f[2], now + delay)
    else
      enqueue(id, f[2], now, hurry_ms)
    end
    recovered = recovered + 1
  end
end)

for _, member in ipairs(due_now('reserved_until')) do
  local account, number = split_member(member)
  local text = redis.call('HGET', key('reserved', account), number)
  if not is_in_force(text, now) then redis.call('HDEL', key('reserved', account), number) end
  redis.call('SREM', key('strays', account), number)
  redis.call('ZREM', key('reserved_until'), member)
end

for _, scope in ipairs(due_now('spent_until')) do
  redis.call('DEL', key('spent', scope))
  if redis.call('EXISTS', key('held', scope)) == 1 then
    redis.call('ZADD', key('spent_until'), int(now + WINDOWS_MS.hour), scope)  -- A parked job: the scope is still to be shown.
  else
    redis.call('ZREM', key('spent_until'), scope)
  end
end

for id, one in pairs(lapsed_ones()) do
  if one.ended_ms > now then  -- The clock went back: waited for from now on.
    redis.call('HSET', key('frozen', 'lapsed'), id, record_text(LAPSED, {ended_ms = now, lease_ms = one.lease_ms}))
  elseif one.ended_ms + one.lease_ms <= now then
    redis.call('HDEL', key('frozen', 'lapsed'), id)
  end
end

each_job('retention', function(id)
  local job = job_key(id)
  local f = redis.call('HMGET', job, 'state', 'key', 'reference', 'incident')
  if f[4] then unlist_from_incident(f[4], id) end
  if f[1] then redis.call('ZREM', key('state', f[1]), id) end
  if f[2] and f[2] ~= '' and redis.call('HGET', key('keys'), f[2]) == id then redis.call('HDEL', key('keys'), f[2]) end
  if f[3] and f[3] ~= '' then redis.call('ZREM', key('refs', f[3]), id) end
  redis.call('UNLINK', job, job .. ':numbers', job .. ':pages', job .. ':outcomes', job .. ':children', job .. ':steps', job .. ':reserved',
    job .. ':staged', job .. ':rows')
  redis.call('ZREM', key('retention'), id)
  deleted = deleted + 1
end)
return {nudged, recovered, parked, deleted, set_back, more}
