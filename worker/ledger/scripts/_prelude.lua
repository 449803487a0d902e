-- Put before every script. KEYS[1] is the namespace; on a Cluster it carries a hash tag, so that all keys share one slot.
--
-- {ns}:job:{id}             hash    the job
-- {ns}:job:{id}:numbers     hash    number -> what the job saved for it (JSON)
-- {ns}:job:{id}:steps       stream  the job's story
-- {ns}:job:{id}:reserved    set     numbers that the job holds
-- {ns}:state:{state}        zset    job id by time of submit, ms
-- {ns}:refs:{reference}     zset    job id by time of submit, ms
-- {ns}:keys                 hash    idempotency key -> job id
-- {ns}:order                int     counts submits: who is newer
-- {ns}:due                  zset    job id by when the sweeper has to nudge it, ms
-- {ns}:leases               zset    job id by when its lease ends, ms
-- {ns}:retention            zset    job id by when it is deleted, ms
-- {ns}:reserved:{account}   hash    number -> "job id|until ms", until 0 while the job lives
-- {ns}:reserved_until       zset    "account|number" by when the reservation ends, ms
-- {ns}:routes:{account}     hash    number -> order of the newest job that routes it
-- {ns}:account:{account}    hash    paused, status, message, since_ms, probe_ms
-- {ns}:rate:{account}       hash    how fast the account is asked, and its breaker; see admit and report. Moments in us
-- {ns}:account:{account}:held  set  jobs that wait for the account
-- {ns}:results, {ns}:events stream
-- {ns}:queue:{lane}[.msgs]  list, hash   Dramatiq's queue; {ns}:wake:{lane} list   what idle consumers block on
local NS = KEYS[1]

local function key(...) return NS .. ':' .. table.concat({...}, ':') end
local function job_key(id) return NS .. ':job:' .. id end
-- tostring() would write 1.7e+12.
local function int(n) return string.format('%.0f', n) end

local function now_us()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000000 + tonumber(t[2])
end

local function now_ms() return math.floor(now_us() / 1000) end

-- RFC 3339 from milliseconds; Redis's Lua has no os.date. Days to a date by counting 400-year eras that begin on 1 March.
local function rfc3339(ms)
  local days = math.floor(ms / 86400000)
  local rest = ms - days * 86400000
  local shifted = days + 719468
  local era = math.floor(shifted / 146097)
  local doe = shifted - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, doy - math.floor((153 * mp + 2) / 5) + 1,
    math.floor(rest / 3600000), math.floor(rest / 60000) % 60, math.floor(rest / 1000) % 60, rest % 1000)
end

local function json(text)
  if text == false or text == nil or text == '' then return 'null' end
  return cjson.encode(text)
end

local function json_int(text)
  if text == false or text == nil or text == '' then return 'null' end
  return text
end

local STREAM_MAX = 1000000  -- entries; the hard maximum, whoever reads

-- Writes one CloudEvents entry. `body` is JSON members that the caller has already encoded, or ''.
local function emit(stream, id, state, body)
  local job = job_key(id)
  local seq = redis.call('HINCRBY', job, 'seq', 1)
  local f = redis.call('HMGET', job, 'kind', 'reason', 'account', 'reference', 'key', 'attempt', 'created_ms', 'started_ms', 'finished_ms', 'progress')
  local data = '{"job":' .. json(id) .. ',"kind":' .. json(f[1]) .. ',"state":' .. json(state) .. ',"reason":' .. json(f[2])
    .. ',"account":' .. json(f[3]) .. ',"reference":' .. json(f[4]) .. ',"idempotency_key":' .. json(f[5])
    .. ',"attempt":' .. (f[6] or '0') .. ',"progress":' .. json(f[10]) .. ',"timings":{"submitted_ms":' .. json_int(f[7])
    .. ',"started_ms":' .. json_int(f[8]) .. ',"finished_ms":' .. json_int(f[9]) .. '}'
  if body ~= '' then data = data .. ',' .. body end
  redis.call('XADD', key(stream), 'MAXLEN', '~', STREAM_MAX, '*', 'specversion', '1.0', 'id', id .. ':' .. int(seq), 'source', 'didflow',
    'type', 'didflow.job.' .. state .. '.v1', 'subject', id, 'time', rfc3339(now_ms()),
    'datacontenttype', 'application/json', 'data', data .. '}')
end

local function set_state(id, old, new)
  local created = redis.call('HGET', job_key(id), 'created_ms')
  if old then redis.call('ZREM', key('state', old), id) end
  redis.call('ZADD', key('state', new), created or int(now_ms()), id)
  redis.call('HSET', job_key(id), 'state', new)
end

-- Puts a message for the job on its lane's queue, in the form that Dramatiq reads, and wakes one idle consumer.
local function nudge(id, lane)
  lane = lane or 'bulk'  -- A damaged job must not stop the sweep for all others.
  local n = redis.call('HINCRBY', job_key(id), 'nudges', 1)
  local message_id = id .. ':' .. int(n)
  redis.call('HSET', key('queue', lane .. '.msgs'), message_id,
    '{"queue_name":' .. json(lane) .. ',"actor_name":' .. json('run_' .. lane) .. ',"args":[' .. json(id) .. '],"kwargs":{},"options":{"redis_message_id":'
    .. json(message_id) .. '},"message_id":' .. json(message_id) .. ',"message_timestamp":' .. int(now_ms()) .. '}')
  -- Dramatiq takes from the head: priorities above the middle go there.
  local urgent = tonumber(redis.call('HGET', job_key(id), 'priority') or '5') < 5
  redis.call(urgent and 'LPUSH' or 'RPUSH', key('queue', lane), message_id)
  redis.call('LPUSH', key('wake', lane), '1')
  redis.call('LTRIM', key('wake', lane), 0, 63)
end

-- Due now: nudge, and let the sweeper look again after `again_ms` in case the nudge is lost.
local function enqueue(id, lane, now, again_ms)
  redis.call('ZADD', key('due'), int(now + again_ms), id)
  nudge(id, lane)
end

local function step(id, attempt, name, detail)
  redis.call('XADD', job_key(id) .. ':steps', 'MAXLEN', '~', 2000, '*', 'attempt', attempt or '0', 'name', name, 'detail', detail or '')
end

-- Gives up what the job holds; tainted numbers stay reserved until their time.
local function give_up_reservations(id, account)
  local reserved = key('reserved', account)
  for _, number in ipairs(redis.call('SMEMBERS', job_key(id) .. ':reserved')) do
    if redis.call('HGET', reserved, number) == id .. '|0' then redis.call('HDEL', reserved, number) end
  end
  redis.call('DEL', job_key(id) .. ':reserved')
end

-- Ends the job, or parks it: state, stored result and the one event on the results stream, together.
local function conclude(id, state, result, body, retention_ms)
  local job = job_key(id)
  local f = redis.call('HMGET', job, 'state', 'account')
  local account = f[2] or ''
  local now = now_ms()
  redis.call('HSET', job, 'finished_ms', int(now), 'result', result, 'due_ms', '', 'owner', '', 'lease_ms', '')
  set_state(id, f[1], state)
  redis.call('ZREM', key('leases'), id)
  redis.call('ZREM', key('due'), id)
  redis.call('SREM', key('account', account, 'held'), id)
  if state ~= 'needs_review' then
    give_up_reservations(id, account)
    redis.call('ZADD', key('retention'), int(now + retention_ms), id)
  end
  emit('results', id, state, body)
end

local function holds(id, token)
  local f = redis.call('HMGET', job_key(id), 'token', 'state')
  return f[1] == token and f[2] == 'running'
end

-- One event about an account. `status` '' where it has none.
local function emit_account(account, word, status, message)
  local seq = redis.call('HINCRBY', key('account', account), 'seq', 1)
  redis.call('XADD', key('events'), 'MAXLEN', '~', STREAM_MAX, '*', 'specversion', '1.0', 'id', 'account:' .. account .. ':' .. int(seq),
    'source', 'didflow', 'type', 'didflow.account.' .. word .. '.v1', 'subject', account, 'time', rfc3339(now_ms()),
    'datacontenttype', 'application/json', 'data', '{"account":' .. json(account) .. ',"status":' .. json_int(status) .. ',"message":' .. json(message) .. '}')
end

-- The part of the configured rate that is in force: halved by a 429, and creeping up since, by `creep` of the whole a second.
local function pace(fraction, cut_us, creep, now)
  return math.min(1, (tonumber(fraction or '') or 1) + math.max(0, now - (tonumber(cut_us or '') or 0)) / 1000000 * creep)
end
