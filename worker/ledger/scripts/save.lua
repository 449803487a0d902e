-- save: one write of a running attempt, all or nothing. May run when memory is full: a money call that is out must be written down.
-- ARGV  id, token, write (counts the attempt's writes), taint_ms, JSON {step, detail, calls?, witness? (see step), phase?, memo?, progress?,
--       numbers: {number: text}, reserve: [], taint: [], free: [], keep: [], answered: [],
--       hold?: {numbers, usd, limits: [{scope, unit, window, most}, …]} what a checkout may cost, held before it is sent,
--       settle?: {numbers, usd} what it bought: the rest of the hold is given back,
--       settled: [] (numbers of a release with nothing under way any more),
--       withdraw: [] (numbers that aren't to be handed out any more), offer?: {number: record id} that may be from now on,
--       clear? (begin the numbers and their pages anew), pages?: {index: numbers, in words},
--       history?: {number: what happened to it, see tell_history}, unless_cancelled? (a cancel that came before this write stops it),
--       money? (it may move once this is written), unsettled? (whether a purchase is open after it)}, worker ('' = none), life (see alive)
-- Reply {'ok'} or, where numbers are bound or money may move, {'ok', count, epoch} (see count_write) | {'lost'} | {'taken', number, …} | {'closed'} (no money may move now: nothing was written) | {'cancelled'} (nothing was written)
--       | {'limit', …} as limit_against says: a limit would be exceeded, and nothing is written
-- Twice: the second run has the write count of the first and changes nothing.
-- flags: allow-oom
local id, token, write = ARGV[1], ARGV[2], tonumber(ARGV[3])
local taint_ms, page = tonumber(ARGV[4]), cjson.decode(ARGV[5])
local job = job_key(id)
if not holds(id, token) then return {'lost'} end
local f = redis.call('HMGET', job, 'account', 'attempt', 'wrote')
local last_token, last_write = string.match(f[3] or '', '^(%d+):(%d+)$')
-- What nothing may come after that isn't known to be kept.
local function ok()
  if (ARGV[6] or '') == '' or not (page.money or #page.reserve > 0) then return {'ok'} end
  return {'ok', unpack(count_write(ARGV[6]))}
end
if last_token == token and tonumber(last_write) >= write then return ok() end
if page.unless_cancelled and redis.call('HGET', job, 'cancel') == '1' then return {'cancelled'} end
if page.money and gate_closed(f[1]) then return {'closed'} end
if (ARGV[6] or '') ~= '' and (page.money or #page.reserve > 0) and not is_witnessed(ARGV[6], ARGV[7]) then return {'closed'} end

local now = now_ms()
local reserved = key('reserved', f[1])
local taken = {'taken'}
for _, number in ipairs(page.reserve) do
  local holder, until_ms = string.match(redis.call('HGET', reserved, number) or '', '^(.*)|(%d+)$')
  local live = holder and (until_ms == '0' or tonumber(until_ms) > now)
  if live and not (holder == id and until_ms == '0') then taken[#taken + 1] = number end
end
if #taken > 1 then return taken end
local reached = page.hold and limit_against(id, page.hold, now)
if reached then return reached end

for _, number in ipairs(page.reserve) do
  redis.call('HSET', reserved, number, id .. '|0')
  redis.call('SADD', job .. ':reserved', number)
end
for _, number in ipairs(page.taint) do
  keep_reserved(id, f[1], number, now + taint_ms)
  redis.call('SADD', key('strays', f[1]), number)
end
for _, number in ipairs(page.keep) do keep_reserved(id, f[1], number, now + taint_ms) end
for _, number in ipairs(page.free) do
  if redis.call('HGET', reserved, number) == id .. '|0' then redis.call('HDEL', reserved, number) end
  redis.call('SREM', job .. ':reserved', number)
end
local family, caller = route_caller(id, token)
for _, number in ipairs(page.answered) do
  local entry = redis.call('HGET', key('routes', f[1]), number) or ''
  local order, routed_by, holder, disturbed_ms = string.match(entry, '^(%d+)|([^|]*)|([^|]*)|%d+|(%d+)|%d+$')
  if routed_by == family and holder == caller then
    redis.call('HSET', key('routes', f[1]), number, table.concat({order, family, caller, '0', disturbed_ms, int(now)}, '|'))
  end
end
local offered = key('offered', f[1])
for number, record in pairs(page.offer or {}) do redis.call('HSET', offered, number, int(record) .. '|' .. id) end
for _, number in ipairs(page.withdraw) do
  if string.match(redis.call('HGET', offered, number) or '', '|(.*)$') == id then redis.call('HDEL', offered, number) end
end
for _, number in ipairs(page.settled) do goes_no_more(id, f[1], number) end
if page.hold then hold_spend(id, page.hold, now) end
if page.settle then settle_spend(id, page.settle, now) end
local told = job_key(family)  -- A batch writes what its parent tells.
local outcomes = told .. ':outcomes'
if page.clear then
  redis.call('DEL', told .. ':numbers', told .. ':pages', outcomes)
  redis.call('HSET', outcomes, 'open', '0')
end
local counted = redis.call('EXISTS', outcomes) == 1
-- A text inside the JSON can't look like this: its quotes are escaped.
local function outcome_of(text) return string.match(text, '"outcome":"([%a_]+)"') or 'open' end
for number, text in pairs(page.numbers) do
  if counted then
    local old = redis.call('HGET', told .. ':numbers', number)
    if old then redis.call('HINCRBY', outcomes, outcome_of(old), -1) end
    redis.call('HINCRBY', outcomes, outcome_of(text), 1)
  end
  redis.call('HSET', told .. ':numbers', number, text)
end
tell_history(family, page.history)
for index, numbers in pairs(page.pages or {}) do redis.call('HSET', told .. ':pages', index, numbers) end
if page.phase then redis.call('HSET', job, 'phase', page.phase) end
if page.unsettled ~= nil then redis.call(page.unsettled and 'SADD' or 'SREM', key('open', f[1]), id) end
if page.memo then redis.call('HSET', job, 'memo', page.memo) end
redis.call('HSET', job, 'wrote', token .. ':' .. int(write))
step(id, f[2], page.step, page.detail, page.calls, page.witness)
if page.progress and counted then
  local all = redis.call('HLEN', told .. ':numbers')
  page.progress = int(all - tonumber(redis.call('HGET', outcomes, 'open'))) .. ' of ' .. int(all) .. ' numbers'
end
if page.progress and page.progress ~= redis.call('HGET', told, 'progress') then
  redis.call('HSET', told, 'progress', page.progress)
  emit('events', family, redis.call('HGET', told, 'state') or 'running', '')
end
return ok()
