-- Put before every script. KEYS[1] is the namespace; on a Cluster it carries a hash tag, so that all keys share one slot.
--
-- {ns}:job:{id}             hash    the job. {id}-{name} is one that job {id} left behind, see follow_up
-- {ns}:job:{id}:numbers     hash    number -> what the job saved for it (JSON)
-- {ns}:job:{id}:pages       hash    index -> the numbers of that page, in words: a job of many numbers is read and sent page by page
-- {ns}:job:{id}:outcomes    hash    outcome ('open': none yet) -> how many of its numbers have it; only where there are pages
-- {ns}:job:{id}:children    set     its batches that haven't ended. A batch is a job {id}:{index}; it writes its numbers with its parent's
-- {ns}:job:{id}:steps       stream  the job's story
-- {ns}:job:{id}:reserved    set     numbers that the job holds
-- {ns}:state:{state}        zset    job id by time of submit, ms; batches aren't in it
-- {ns}:refs:{reference}     zset    job id by time of submit, ms
-- {ns}:keys                 hash    idempotency key -> job id
-- {ns}:order                int     counts submits: who is newer
-- {ns}:due                  zset    job id by when the sweeper has to nudge it, ms
-- {ns}:due_first            zset    the same of emergency jobs, which are looked at before a backlog; what is stale in it goes when it is met
-- {ns}:leases               zset    job id by when its lease ends, ms
-- {ns}:retention            zset    job id by when it is deleted, ms
-- {ns}:reserved:{account}   hash    number -> "job id|until ms", until 0 while the job lives
-- {ns}:handed_out:{account} hash    number of the pool -> "record id|job that has it|order": when, counted as submits are
-- {ns}:reserved_until       zset    "account|number" by when the reservation ends, ms
-- {ns}:stock:{account}:{place}  text  a page of a city's stock as a job saw it, for minutes: for the other jobs that watch it
-- {ns}:seal                 text    the secret by which quotes are signed; made by whoever needs it first
-- {ns}:strays:{account}     set     tainted numbers: a late add may bring them into the cart; as long as they are reserved
-- {ns}:spent:{scope}        hash    minute since the epoch -> "numbers|usd" that were settled in it; scope is account:{account} or reference:{reference}
-- {ns}:held:{scope}         hash    job id -> "numbers|usd" that its open checkout may cost
-- {ns}:spent_until          zset    scope by when nothing of it counts any more, ms
-- {ns}:routes:{account}     hash    number -> the newest job that routes it, and calls that may still act: see routes.lua
-- {ns}:account:{account}    hash    paused, status, message, since_ms, probe_ms
-- {ns}:rate:{account}       hash    how fast the account is asked, and its breaker; see admit and report. Moments in us
-- {ns}:rate:{account}:down   zset    jobs that wait until the provider is back, by who goes on first
-- {ns}:account:{account}:held  set  jobs that wait for the account
-- {ns}:accounts:paused      set     accounts that are paused
-- {ns}:epoch                hash    server, number, alive_ms, since_ms: whose memory this is, see notice_restart; before (the epoch
--                                   before this one); what workers told: retention_ms, vouch_ms
-- {ns}:vouch:counts         hash    worker process -> how many of its writes this server made, of those that it counts; see vouch
-- {ns}:vouch:kept           hash    the same of the server before, as far as they are here; {ns}:vouch:needed set  its worker processes
-- {ns}:vouch:given          set     those that miss nothing
-- {ns}:vouch:acked          hash    worker process -> how many of those it said to know of; {ns}:vouch:life hash  since when it lives
-- {ns}:epoch:after          zset    epoch number by when the server before was last known to keep what was written, ms
-- {ns}:open:{account}       set     purchases with numbers that may be in the cart, or bought and not yet looked for
-- {ns}:gate:{account}       hash    epoch (the last in which money calls are let through), checker, check_ms, cart_epoch, cart_ms, findings, seq
-- {ns}:gate:{account}:held  set     jobs that wait for it; {ns}:gate:{account}:accepted set  what a person took on: record ids, numbers
-- {ns}:plan:{name}          hash    a failover plan: version, spec, saved_by, saved_ms, numbers, count, resolved_ms, job, trouble, trouble_ms
-- {ns}:plans                zset    plan by when its numbers are found out anew, ms; {ns}:plans:open hash: job that does -> "version|name"
-- {ns}:history              hash    number -> the head of its history: count|hash|dropped|cut|job|what, the last two of its newest entry
-- {ns}:history:{number}     list    its entries, oldest first: hash|JSON; see tell_history. {ns}:history:gone zset  numbers that aren't ours, by when they
--                                   went, ms: their histories are forgotten in time
-- {ns}:holders             hash    number that is ours -> JSON [record id, account, reference] of its purchase; {ns}:holdings:{reference} set  its numbers
-- {ns}:given_back:{account}:{day} set  record ids that were let go on that day since the epoch, see count_releases
-- {ns}:results, {ns}:events stream; {ns}:results:poison stream  results that a group set aside; its fields, and poison_entry, _group, _reason
-- {ns}:workers              zset    worker process by when it was last alive, ms
-- {ns}:requests             stream  business events that others write; {ns}:requests:dead stream  those that couldn't be taken in: their fields,
--                                   and dead_entry, _group, _code, _reason, _faults
-- {ns}:queue:{lane}[.msgs]  list, hash   Dramatiq's queue; {ns}:wake:{lane} list   what idle consumers block on
-- {ns}:queue:undecodable    list    messages on the queues that weren't ours, newest first
local NS = KEYS[1]

local function key(...) return NS .. ':' .. table.concat({...}, ':') end
local function job_key(id) return NS .. ':job:' .. id end
-- tostring() would write 1.7e+12.
local function int(n) return string.format('%.0f', n) end

-- One moment for the whole script; the server's clock stands still while it runs.
local NOW_US
local function now_us()
  if not NOW_US then
    local t = redis.call('TIME')
    NOW_US = tonumber(t[1]) * 1000000 + tonumber(t[2])
  end
  return NOW_US
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

-- A count or a moment that a field holds. What is damaged, or so large that nothing ever counts to it, reads as `otherwise`:
-- one damaged job must not stop a script that looks after all of them.
local function whole(text, otherwise)
  if text and #text <= 15 and string.match(text, '^%d+$') then return tonumber(text) end
  return otherwise
end

local function json_int(text)
  local n = whole(text)
  return n and int(n) or 'null'
end

-- Adds to a count of a job; one that can't be read begins anew at `anew`.
local function count_up(id, field, by, anew)
  local n = math.max(0, whole(redis.call('HGET', job_key(id), field), anew or 0) + by)
  redis.call('HSET', job_key(id), field, int(n))
  return n
end

-- Whether a job's time hasn't come. What lies beyond the year 9999 is damage, and nothing to wait for.
local function is_early(due_ms, now)
  local due = whole(due_ms, 0)
  return due > now and due < 253402300800000
end

-- Later than now by this is a token that nobody was given before, for a job whose own can't be read.
local UNREADABLE_TOKEN = 1000000000

local LANES = {emergency = true, money = true, bulk = true}
local function lane_of(text) return LANES[text] and text or 'bulk' end

local STATES = {'scheduled', 'queued', 'running', 'waiting', 'needs_review', 'succeeded', 'partial', 'failed', 'cancelled', 'expired'}
local OVER = {succeeded = true, partial = true, failed = true, cancelled = true, expired = true}

local STREAM_MAX = 1000000  -- entries; the hard maximum, whoever reads

-- Writes a CloudEvents entry that is about no single job; `data` is JSON.
local function announce(id, kind, subject, data)
  redis.call('XADD', key('events'), 'MAXLEN', '~', STREAM_MAX, '*', 'specversion', '1.0', 'id', id, 'source', 'didflow', 'type', kind,
    'subject', subject, 'time', rfc3339(now_ms()), 'datacontenttype', 'application/json', 'data', data)
end

-- Writes one CloudEvents entry. `body` is JSON members that the caller has already encoded, or ''.
local function emit(stream, id, state, body)
  local job = job_key(id)
  local f = redis.call('HMGET', job, 'kind', 'reason', 'account', 'reference', 'key', 'attempt', 'created_ms', 'started_ms', 'finished_ms',
    'progress', 'seq', 'parent')
  if f[12] then return end  -- What batches do is told by their parent.
  -- If it can't be read, not from 0: a reader drops an event whose id it has seen.
  local seq = whole(f[11], now_ms()) + 1
  local data = '{"job":' .. json(id) .. ',"kind":' .. cjson.encode(f[1] or '') .. ',"state":' .. json(state) .. ',"reason":' .. json(f[2])
    .. ',"account":' .. cjson.encode(f[3] or '') .. ',"reference":' .. json(f[4]) .. ',"idempotency_key":' .. json(f[5])
    .. ',"attempt":' .. int(whole(f[6], 0)) .. ',"progress":' .. json(f[10]) .. ',"timings":{"submitted_ms":' .. int(whole(f[7], 0))
    .. ',"started_ms":' .. json_int(f[8]) .. ',"finished_ms":' .. json_int(f[9]) .. '}'
  if body ~= '' then data = data .. ',' .. body end
  redis.call('XADD', key(stream), 'MAXLEN', '~', STREAM_MAX, '*', 'specversion', '1.0', 'id', id .. ':' .. int(seq), 'source', 'didflow',
    'type', 'didflow.job.' .. state .. '.v1', 'subject', id, 'time', rfc3339(now_ms()),
    'datacontenttype', 'application/json', 'data', data .. '}')
  redis.call('HSET', job, 'seq', int(seq), 'told', state .. (f[2] or ''))  -- `told`: what a reader of the streams takes the job's state and reason for.
end

local function set_state(id, old, new)
  local f = redis.call('HMGET', job_key(id), 'parent', 'created_ms')
  if not f[1] then
    if old then redis.call('ZREM', key('state', old), id) end
    redis.call('ZADD', key('state', new), int(whole(f[2], now_ms())), id)
  end
  redis.call('HSET', job_key(id), 'state', new)
end

-- Puts a message for the job on its lane's queue, in the form that Dramatiq reads, and wakes one idle consumer.
local function nudge(id, lane)
  lane = lane_of(lane)
  local f = redis.call('HMGET', job_key(id), 'nudges', 'unanswered', 'priority', 'crashes')
  local n = whole(f[1], 0) + 1
  redis.call('HSET', job_key(id), 'nudges', int(n), 'unanswered', int(whole(f[2], 0) + 1))
  local message_id = id .. ':' .. int(n)
  redis.call('HSET', key('queue', lane .. '.msgs'), message_id,
    '{"queue_name":' .. json(lane) .. ',"actor_name":' .. json('run_' .. lane) .. ',"args":[' .. json(id) .. '],"kwargs":{},"options":{"redis_message_id":'
    .. json(message_id) .. '},"message_id":' .. json(message_id) .. ',"message_timestamp":' .. int(now_ms()) .. '}')
  -- Dramatiq takes from the head. Priorities above the middle go there, and what a dead worker left half done: it had its turn.
  local urgent = whole(f[3], 5) < 5 or whole(f[4], 0) > 0
  redis.call(urgent and 'LPUSH' or 'RPUSH', key('queue', lane), message_id)
  if redis.call('LPUSH', key('wake', lane), '1') > 64 then redis.call('LTRIM', key('wake', lane), 0, 63) end
end

-- Whether the broker still has the job's last message: waiting in the queue, or handed to a worker that hasn't acknowledged it.
local function has_message(id, lane, nudges)
  return redis.call('HEXISTS', key('queue', lane_of(lane) .. '.msgs'), id .. ':' .. (nudges or '0')) == 1
end

-- The sweeper looks at the job then.
local function look_at(id, lane, ms)
  redis.call('ZADD', key('due'), int(ms), id)
  if lane == 'emergency' then redis.call('ZADD', key('due_first'), int(ms), id) end
end

-- Due now: nudge, and let the sweeper look again after `again_ms` in case the nudge is lost.
local function enqueue(id, lane, now, again_ms)
  look_at(id, lane, now + again_ms)
  nudge(id, lane)
end

-- `calls` (JSON: [[call, fingerprint, answer], …], those since the step before) and `witness` where there are any.
local function step(id, attempt, name, detail, calls, witness)
  local fields = {'attempt', attempt or '0', 'name', name, 'detail', detail or ''}
  if calls and calls ~= '' then fields[#fields + 1], fields[#fields + 2] = 'calls', calls end
  if witness and witness ~= '' then fields[#fields + 1], fields[#fields + 2] = 'witness', witness end
  redis.call('XADD', job_key(id) .. ':steps', 'MAXLEN', '~', 2000, '*', unpack(fields))
end

-- A job that goes on where another one ends, as job {id}-{name}, with its account, reference and priority.
local function leave_behind(id, name, v, kind, request, fingerprint, lane, delay_ms)
  local child = id .. '-' .. name
  local f = redis.call('HMGET', job_key(id), 'account', 'reference', 'priority', 'attempt')
  local now = now_ms()
  local due = int(now + tonumber(delay_ms))
  redis.call('HSET', job_key(child), 'v', v, 'kind', kind, 'request', request, 'fp', fingerprint, 'key', '', 'reference', f[2] or '',
    'account', f[1] or '', 'lane', lane, 'priority', f[3] or '5', 'order', int(redis.call('INCR', key('order'))), 'attempt', '0',
    'crashes', '0', 'token', '0', 'seq', '0', 'created_ms', int(now), 'reason', '', 'due_ms', due)
  if f[2] and f[2] ~= '' then redis.call('ZADD', key('refs', f[2]), int(now), child) end
  set_state(child, false, 'scheduled')
  step(child, '0', 'submitted', 'by job ' .. id)
  step(id, f[4], 'follow_up', 'job ' .. child)
  emit('events', child, 'scheduled', '')
  look_at(child, lane, due)
end

-- The same unless one of that name goes on; where it has ended, as job {id}-{name}-again.
local function leave_behind_unless_it_goes_on(id, name, ...)
  local state = redis.call('HGET', job_key(id .. '-' .. name), 'state')
  if OVER[state] then name = name .. '-again' end
  if not state or OVER[state] and redis.call('EXISTS', job_key(id .. '-' .. name)) == 0 then leave_behind(id, name, ...) end
end

-- Spending. `usd` is whole ten-thousandths of a USD, exact below 2^53.
-- An open checkout is held in full until it is settled. What it bought counts from the minute of the settlement until the window has
-- passed after that minute's end: from before the money moved until an hour, or a day, after it. So no real hour or day ever has more
-- than its limit; what was spent counts up to a minute, and the time of the settling, longer than it would have to.
local MINUTE_MS = 60000
local WINDOWS_MS = {hour = 3600000, day = 86400000}

local function spend_scopes(id)
  local f = redis.call('HMGET', job_key(id), 'account', 'reference')
  local scopes = {account = 'account:' .. (f[1] or '')}
  if f[2] and f[2] ~= '' then scopes.reference = 'reference:' .. f[2] end
  return scopes
end

local function numbers_and_usd(text)
  local numbers, usd = string.match(text or '', '^(%d+)|(%d+)$')
  return tonumber(numbers or 0), tonumber(usd or 0)
end

-- Adds to a sum what a stored pair says.
local function add_pair(sum, text)
  local numbers, usd = numbers_and_usd(text)
  sum.numbers, sum.usd = sum.numbers + numbers, sum.usd + usd
end

-- What counts in a scope now: {hour, day, held: {numbers, usd}, minutes: oldest first, each with when it ends, old: fields that count no more}.
-- `hour` and `day` are without what is held.
local function spending(scope, now)
  local s = {held = {numbers = 0, usd = 0}, hour = {numbers = 0, usd = 0}, day = {numbers = 0, usd = 0}, minutes = {}, old = {}}
  local flat = redis.call('HGETALL', key('spent', scope))
  for i = 1, #flat, 2 do
    local minute = {ends = (tonumber(flat[i]) + 1) * MINUTE_MS, numbers = 0, usd = 0}
    add_pair(minute, flat[i + 1])
    for window, span in pairs(WINDOWS_MS) do
      if minute.ends + span > now then add_pair(s[window], flat[i + 1]) end
    end
    if minute.ends + WINDOWS_MS.day > now then
      s.minutes[#s.minutes + 1] = minute
    else
      s.old[#s.old + 1] = flat[i]
    end
  end
  table.sort(s.minutes, function(one, other) return one.ends < other.ends end)
  for _, text in ipairs(redis.call('HVALS', key('held', scope))) do add_pair(s.held, text) end
  return s
end

-- In how many ms the window will have let go of `missing`; math.huge if only the end of open checkouts can tell.
local function frees_in(s, limit, missing, now)
  for _, minute in ipairs(s.minutes) do
    local leaves = minute.ends + WINDOWS_MS[limit.window] - now
    if leaves > 0 then missing = missing - minute[limit.unit] end
    if missing <= 0 then return leaves end
  end
  return math.huge
end

-- The limit that keeps the job from spending {numbers, usd, limits: [{scope, unit, window, most}, …]} for longest, as a reply; nil if all
-- of them allow it: {'limit', scope, unit, window, most, used, held, frees in ms | ''}
local function limit_against(id, spend, now)
  local scopes, books, longest, reply = spend_scopes(id), {}, -1, nil
  for _, limit in ipairs(spend.limits) do
    local scope = scopes[limit.scope]
    if scope then
      books[scope] = books[scope] or spending(scope, now)
      local s = books[scope]
      local held = s.held[limit.unit]
      local used = s[limit.window][limit.unit] + held
      local missing = used + spend[limit.unit] - limit.most
      if missing > 0 then
        local frees = frees_in(s, limit, missing, now)
        if frees > longest then
          longest = frees
          reply = {'limit', scope, limit.unit, limit.window, int(limit.most), int(used), int(held), frees == math.huge and '' or int(frees)}
        end
      end
    end
  end
  return reply
end

-- Holds what the job's checkout may cost, and forgets what has left all windows.
local function hold_spend(id, spend, now)
  for _, scope in pairs(spend_scopes(id)) do
    for _, minute in ipairs(spending(scope, now).old) do redis.call('HDEL', key('spent', scope), minute) end
    redis.call('HSET', key('held', scope), id, int(spend.numbers) .. '|' .. int(spend.usd))
    redis.call('ZADD', key('spent_until'), int(now + WINDOWS_MS.day + MINUTE_MS), scope)
  end
end

-- Ends what the job holds, if it does: from here only what was bought counts.
local function settle_spend(id, bought, now)
  local minute = int(math.floor(now / MINUTE_MS))
  for _, scope in pairs(spend_scopes(id)) do
    redis.call('HDEL', key('held', scope), id)
    if bought.numbers > 0 then
      local sum = {numbers = bought.numbers, usd = bought.usd}
      add_pair(sum, redis.call('HGET', key('spent', scope), minute))
      redis.call('HSET', key('spent', scope), minute, int(sum.numbers) .. '|' .. int(sum.usd))
      redis.call('ZADD', key('spent_until'), int(now + WINDOWS_MS.day + MINUTE_MS), scope)
    end
  end
end

-- A job that ends with its checkout unsettled: all that it holds counts as bought, which errs on the safe side.
local function settle_unsettled(id, now)
  local held = {numbers = 0, usd = 0}
  add_pair(held, redis.call('HGET', key('held', spend_scopes(id).account), id))
  if held.numbers > 0 then settle_spend(id, held, now) end
end

-- Keeps a number from every job until that moment, also when this one has ended.
local function keep_reserved(id, account, number, until_ms)
  redis.call('HSET', key('reserved', account), number, id .. '|' .. int(until_ms))
  redis.call('ZADD', key('reserved_until'), int(until_ms), account .. '|' .. number)
end

-- Gives up what the job holds; tainted numbers stay reserved until their time.
local function give_up_reservations(id, account)
  local reserved = key('reserved', account)
  local held = redis.call('SMEMBERS', job_key(id) .. ':reserved')
  for _, number in ipairs(held) do
    if redis.call('HGET', reserved, number) == id .. '|0' then redis.call('HDEL', reserved, number) end
  end
  if #held > 0 then redis.call('DEL', job_key(id) .. ':reserved') end
end

-- The history of numbers. `happened`: number -> what the job did with it, as JSON members with `what` first. Each entry's hash covers the
-- one before it, so that an edit by hand shows. What the job said last of a number isn't said again: a script, or an attempt, that runs
-- twice tells it once. Nothing that is damaged here keeps a job from writing; reading the history shows it.
local HISTORY_MOST = 100  -- entries of a number; the chain goes on from the hash where it was cut
local sha1hex = FAKE and function() return string.rep('0', 40) end or redis.sha1hex  -- fakeredis has none: its chains hold nothing
local NOT_OURS = {released = true, already_released = true, not_bought = true, accepted_in_cart = true}

-- Whom a number was bought for, as long as that record is ours. What can't be read is written anew.
local HELD = {bought = true, bought_inactive = true, reused = true}
local function note_holder(number, what, members, account, reference)
  local gone = what == 'released' or what == 'already_released'
  if not HELD[what] and not gone then return end
  local record = string.match(members, '"record_id":(%d+)')
  local old = redis.pcall('HGET', key('holders'), number)
  local read, was = pcall(cjson.decode, old)
  if not read or type(was) ~= 'table' then was = {} end
  if gone and record and type(was[1]) == 'string' and was[1] ~= record then return end
  if type(was[3]) == 'string' then redis.pcall('SREM', key('holdings', was[3]), number) end
  if gone then
    redis.pcall('HDEL', key('holders'), number)
  else
    redis.pcall('HSET', key('holders'), number, '[' .. json(record) .. ',' .. json(account) .. ',' .. json(reference) .. ']')
    if reference and reference ~= '' then redis.pcall('SADD', key('holdings', reference), number) end
  end
end

-- `decision`: {kind, account}, where a person decided and no job did it; then `id` is '', and every entry is one.
local function tell_history(id, happened, decision)
  local numbers = {}
  for number in pairs(happened or {}) do numbers[#numbers + 1] = number end
  if #numbers == 0 then return end
  local f = decision or redis.call('HMGET', job_key(id), 'kind', 'account', 'reference')
  local now = int(now_ms())
  local told = ',"at_ms":' .. now .. ',"job":' .. json(id) .. ',"kind":' .. cjson.encode(f[1] or '') .. ',"account":'
    .. cjson.encode(f[2] or '') .. ',"reference":' .. json(f[3]) .. ','
  local TOGETHER = 1000
  for first = 1, #numbers, TOGETHER do
    local some = {unpack(numbers, first, math.min(first + TOGETHER - 1, #numbers))}
    local heads = redis.pcall('HMGET', key('history'), unpack(some))
    if heads.err then return end
    local written, gone, here = {}, {}, {}
    for place, number in ipairs(some) do
      local members = happened[number]
      local what = string.match(members, '^"what":"([%a_]+)"') or ''
      local count, head, dropped, cut, said = string.match(heads[place] or '', '^(%d+)|(%x*)|(%d+)|(%x*)|(.*)$')
      if decision or said ~= id .. '|' .. what then
        note_holder(number, what, members, f[2], f[3])
        local entries, n = key('history', number), whole(count, 0) + 1
        local content = '{"n":' .. int(n) .. told .. members .. '}'
        head = sha1hex((head or '') .. '|' .. number .. '|' .. content)
        redis.pcall('RPUSH', entries, head .. '|' .. content)
        dropped, cut = whole(dropped, 0), cut or ''
        if n - dropped > HISTORY_MOST then
          local oldest = redis.pcall('LPOP', entries)
          dropped, cut = dropped + 1, string.match(type(oldest) == 'string' and oldest or '', '^(%x*)|') or ''
        end
        written[#written + 1] = number
        written[#written + 1] = table.concat({int(n), head, int(dropped), cut, id, what}, '|')
        if NOT_OURS[what] then
          gone[#gone + 1], gone[#gone + 2] = now, number
        else
          here[#here + 1] = number
        end
      end
    end
    if #written > 0 then redis.call('HSET', key('history'), unpack(written)) end
    if #gone > 0 then redis.pcall('ZADD', key('history', 'gone'), unpack(gone)) end
    if #here > 0 then redis.pcall('ZREM', key('history', 'gone'), unpack(here)) end
  end
end

-- Whose calls a job's are, and by which of its attempts: for routes, a batch is its parent.
local function route_caller(id, token)
  local parent = redis.call('HGET', job_key(id), 'parent')
  if parent then return parent, id .. '/' .. token end
  return id, token
end

-- A batch has ended, however: its parent goes on after the last one. Counted as a set, so that nothing counts twice.
local function leave_parent(id, parent)
  if redis.call('SREM', job_key(parent) .. ':children', id) == 0 or redis.call('SCARD', job_key(parent) .. ':children') > 0 then return end
  local f = redis.call('HMGET', job_key(parent), 'state', 'reason', 'lane')
  if f[1] == 'waiting' and f[2] == 'depends' then
    redis.call('HSET', job_key(parent), 'due_ms', '')
    enqueue(parent, f[3], now_ms(), 15000)
  end
end

-- How long an ended job is kept, for scripts that a producer runs: the workers' setting holds, `otherwise` before there was a worker.
local function workers_retention_ms(otherwise) return tonumber(redis.call('HGET', key('epoch'), 'retention_ms') or otherwise) end

-- The job waits for none of what jobs wait for together. One that runs doesn't, since its claim.
local function wait_no_more(id, account)
  redis.call('SREM', key('account', account, 'held'), id)
  redis.call('SREM', key('gate', account, 'held'), id)
  redis.call('ZREM', key('rate', account, 'down'), id)
end

-- Ends the job, or parks it: state, stored result and the one event on the results stream, together.
local function conclude(id, state, result, body, retention_ms)
  local job = job_key(id)
  local f = redis.call('HMGET', job, 'state', 'account', 'parent')
  local account = f[2] or ''
  local now = now_ms()
  redis.call('HSET', job, 'finished_ms', int(now), 'result', result, 'due_ms', '', 'owner', '', 'lease_ms', '')
  set_state(id, f[1], state)
  redis.call('ZREM', key('leases'), id)
  redis.call('ZREM', key('due'), id)
  if f[1] ~= 'running' then wait_no_more(id, account) end
  redis.call('SREM', key('open', account), id)
  if state ~= 'needs_review' then
    give_up_reservations(id, account)
    settle_unsettled(id, now)
    for _, child in ipairs(redis.call('SMEMBERS', job .. ':children')) do redis.call('HSET', job_key(child), 'cancel', '1') end
  end
  -- A batch isn't parked: its parent says what is open.
  if state ~= 'needs_review' or f[3] then redis.call('ZADD', key('retention'), int(now + retention_ms), id) end
  if f[3] then leave_parent(id, f[3]) end
  emit('results', id, state, body)
end

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

-- A number below a million out of the server's name.
local function server_number()
  local n = 0
  for i = 1, #server() do n = (n * 31 + string.byte(server(), i)) % 1000003 end
  return n % 1000000
end

-- A vouching process says that it counted as many writes acknowledged as are here, or fewer. What a server forgets is its end, so whoever
-- misses nothing vouches also for all that was written before his last write. Needed is everybody who may have written since: who dies
-- without a word keeps the gate to its slow way.
local function ask_for_vouchers(epoch)
  redis.call('DEL', key('vouch', 'kept'), key('vouch', 'needed'), key('vouch', 'given'), key('vouch', 'acked'))
  if redis.call('EXISTS', key('vouch', 'counts')) == 1 then redis.call('RENAME', key('vouch', 'counts'), key('vouch', 'kept')) end
  local newest = redis.call('ZREVRANGE', key('workers'), 0, 0, 'WITHSCORES')
  if not newest[2] then return end
  -- The clock of this server may be behind the last one's.
  local since = math.min(tonumber(newest[2]), now_ms()) - tonumber(redis.call('HGET', epoch, 'vouch_ms') or '60000')
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', key('workers'), int(since), '+inf')) do redis.call('SADD', key('vouch', 'needed'), worker) end
end

-- Whether a process may bind numbers, or let money move: it is in the life for which it found a witness, and lives. One that was silent
-- for so long that nobody would ask after it when the server dies must find a witness anew.
local function is_witnessed(worker, life)
  if redis.call('HGET', key('vouch', 'life'), worker) ~= life then return false end
  local seen = tonumber(redis.call('ZSCORE', key('workers'), worker) or '0')
  return seen >= now_ms() - tonumber(redis.call('HGET', key('epoch'), 'vouch_ms') or '0')
end

-- Counts a write of this process on this server; {count, epoch} is for its memory alone.
local function count_write(worker) return {redis.call('HINCRBY', key('vouch', 'counts'), worker, 1), redis.call('HGET', key('epoch'), 'number')} end

-- Begins a new epoch if the ledger was last written on another server, and returns the epoch's number (text). What ran there is due
-- again: none of its attempts can write any more. In epoch '1', which begins with the first submit, nothing was ever lost.
local function notice_restart()
  local k = key('epoch')
  local e = redis.call('HMGET', k, 'server', 'number', 'alive_ms')
  if e[1] == server() then return e[2] end
  local now = now_ms()
  if not e[1] and redis.call('EXISTS', key('order')) == 0 then
    redis.call('HSET', k, 'server', server(), 'number', '1', 'alive_ms', int(now))
    return '1'
  end
  -- The moment and the server name it: a counter that was lost would give the same number, and the same tokens, to two different epochs.
  local number = int(math.max(now, tonumber(e[2] or '0') + 1000000) + 1000 * server_number())
  local after = tonumber(e[3] or int(now))
  if not e[3] then  -- Nothing is known but that nothing was bought before the first job.
    for _, state in ipairs(STATES) do
      after = math.min(after, tonumber(redis.call('ZRANGE', key('state', state), 0, 0, 'WITHSCORES')[2] or int(now)))
    end
  end
  redis.call('HSET', k, 'server', server(), 'number', number, 'alive_ms', int(now), 'since_ms', int(now), 'before', e[2] or '')
  ask_for_vouchers(k)
  redis.call('ZADD', key('epoch', 'after'), int(after), number)
  local function hand_back(id)
    local job = job_key(id)
    local f = redis.call('HMGET', job, 'state', 'lane', 'attempt', 'owner')
    if f[1] == 'running' then
      step(id, f[3], 'server_changed', f[4] or '')
      count_up(id, 'attempt', -1)
      redis.call('HSET', job, 'owner', '', 'lease_ms', '', 'reason', 'retry')
      set_state(id, 'running', 'queued')
      emit('events', id, 'queued', '')
      enqueue(id, f[2], now, 5000)
    end
    redis.call('ZREM', key('leases'), id)
  end
  -- One of which a key has another type keeps its lease, for the sweeper to set back, and stops none of the others.
  for _, id in ipairs(redis.call('ZRANGE', key('leases'), 0, -1)) do pcall(hand_back, id) end
  announce('epoch:' .. number, 'didflow.ledger.gate_closed.v1', NS, '{"epoch":' .. number .. ',"lost_after":' .. json(rfc3339(after)) .. '}')
  return number
end

-- Whether money calls of this account wait until what may be lost has been looked for.
local function gate_closed(account)
  local number = redis.call('HGET', key('epoch'), 'number')
  return number ~= '1' and (not number or redis.call('HGET', key('gate', account), 'epoch') ~= number)
end

-- Lets the account's money calls through again, and wakes the jobs that waited.
local function open_gate(account, epoch)
  local now, k = now_ms(), key('gate', account)
  redis.call('HSET', k, 'epoch', epoch, 'findings', '', 'check_ms', '0')
  announce('gate:' .. account .. ':' .. int(redis.call('HINCRBY', k, 'seq', 1)), 'didflow.ledger.gate_opened.v1', account,
    '{"account":' .. json(account) .. ',"epoch":' .. epoch .. '}')
  for _, id in ipairs(redis.call('SMEMBERS', k .. ':held')) do
    redis.call('HSET', job_key(id), 'due_ms', '', 'unanswered', '0')
    look_at(id, redis.call('HGET', job_key(id), 'lane'), now)
  end
  redis.call('DEL', k .. ':held')
end

-- A token of an earlier epoch is none, even where its number was given anew: the claim that gave it may be lost.
local function holds(id, token)
  local e = redis.call('HMGET', key('epoch'), 'server', 'number')
  if e[1] ~= server() or (tonumber(token) or 0) < tonumber(e[2]) then return false end
  local f = redis.call('HMGET', job_key(id), 'token', 'state')
  return f[1] == token and f[2] == 'running'
end

-- One event about an account. `status` '' where it has none.
local function emit_account(account, word, status, message)
  local seq = redis.call('HINCRBY', key('account', account), 'seq', 1)
  announce('account:' .. account .. ':' .. int(seq), 'didflow.account.' .. word .. '.v1', account,
    '{"account":' .. json(account) .. ',"status":' .. json_int(status) .. ',"message":' .. json(message) .. '}')
end

-- The part of the configured rate that is in force: halved by a 429, and creeping up since, by `creep` of the whole a second.
local function pace(fraction, cut_us, creep, now)
  return math.min(1, (tonumber(fraction or '') or 1) + math.max(0, now - (tonumber(cut_us or '') or 0)) / 1000000 * creep)
end

-- An ended job that nobody needs any more is kept only so long from now.
local function go_soon(id, keep_ms)
  local until_ms = id and redis.call('ZSCORE', key('retention'), id)
  local soon_ms = now_ms() + keep_ms
  if until_ms and tonumber(until_ms) > soon_ms then redis.call('ZADD', key('retention'), int(soon_ms), id) end
end
