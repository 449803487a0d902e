-- submit: accept a job once.
-- ARGV  id, v, kind, request, fingerprint, key ('' = none), reference ('' = none), account, lane, priority,
--       not_before_ms (0 = now), renudge_ms, quote ('' = none, or one for many orders), quote_until_ms,
--       incident ('' = none), actor: who submits it ('' = a worker),
--       traceparent ('' = none), tracestate ('' = none)
-- Reply {'new' | 'same' | 'conflict' | 'quote_used', job id, state} or {'quote_expired', '', ''}. The order that has its key comes first:
--       a quote is checked only for a new job.
-- Twice: the second run finds the first's job by key or by id and changes nothing.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/new_job.lua"
local id, v, kind, request, fingerprint, idem, reference, account, lane, priority = unpack(ARGV, 1, 10)
local not_before, renudge_ms = tonumber(ARGV[11]), tonumber(ARGV[12])
local quote, quote_until, incident, actor, traceparent = ARGV[13], tonumber(ARGV[14]), ARGV[15] or '', ARGV[16] or '', ARGV[17] or ''
local tracestate = ARGV[18] or ''

local known = redis.call('EXISTS', job_key(id)) == 1 and id or false
if not known and idem ~= '' then known = redis.call('HGET', key('keys'), idem) end
if known then
  local f = redis.call('HMGET', job_key(known), 'fp', 'state')
  if f[1] ~= fingerprint then return {'conflict', known, f[2]} end
  return {known == id and 'new' or 'same', known, f[2]}
end

local now = now_ms()
if quote ~= '' then
  local used = redis.call('GET', key('quote', quote))
  if used then return {'quote_used', used, redis.call('HGET', job_key(used), 'state') or ''} end
  if quote_until <= now then return {'quote_expired', '', ''} end
  redis.call('SET', key('quote', quote), id, 'PXAT', int(quote_until))
end
local state = create_job(id, v, kind, request, fingerprint, idem, reference, account, lane, priority, not_before, renudge_ms, incident, actor,
  traceparent, tracestate)
return {'new', id, state}
