--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
local STREAM_MAX = 1000000  -- entries; the hard maximum

-- Writes a CloudEvents entry that is about no single job; `data` is JSON.
local function announce(id, kind, subject, data)
  redis.call('XADD', key('events'), 'MAXLEN', '~', STREAM_MAX, '*', 'specversion', '1.0', 'id', id, 'source', 'didflow', 'type', kind,
    'subject', subject, 'time', now_rfc3339(), 'datacontenttype', 'application/json', 'data', data)
end

-- The same with the next id of this prefix. It is never below the moment: an id that was given to an event which the server then lost with its
-- last writes would be given again, and a reader drops an event whose id it has seen.
local function announce_next(prefix, kind, subject, data)
  local seqs = key('events', 'seqs')
  local seq = math.max(now_ms(), whole(redis.call('HGET', seqs, prefix), 0) + 1)
  redis.call('HSET', seqs, prefix, int(seq))
  announce(prefix .. ':' .. int(seq), kind, subject, data)
end

-- Writes one CloudEvents entry about a job. `f`: what its hash says of kind, reason, account, reference, key, attempt, created_ms, started_ms,
-- finished_ms, progress, seq, parent, actor, decided_by, traceparent and tracestate, in this order. `body` is JSON members that the caller has already encoded, or ''.
-- Returns the fields that the hash has to have from then on, each with its value; `emitted_state`, `emitted_reason`:
-- what a reader of the streams takes the job's state and reason for.
local function tell_event(stream, id, f, state, body)
  if f[12] then return end  -- Their parent emits the events of batches.
  -- If it can't be read, not from 0: a reader drops an event whose id it has seen.
  local seq = whole(f[11], now_ms()) + 1
  local data = '{"job":' .. json(id) .. ',"kind":' .. cjson.encode(f[1] or '') .. ',"state":' .. json(state) .. ',"reason":' .. json(f[2])
    .. ',"account":' .. cjson.encode(f[3] or '') .. ',"reference":' .. json(f[4]) .. ',"idempotency_key":' .. json(f[5])
    .. ',"attempt":' .. int(whole(f[6], 0)) .. ',"progress":' .. json(f[10]) .. ',"timings":{"submitted_ms":' .. int(whole(f[7], 0))
    .. ',"started_ms":' .. json_int(f[8]) .. ',"finished_ms":' .. json_int(f[9]) .. '}'
  local actor = f[14] and f[14] ~= '' and f[14] or f[13]
  if actor and actor ~= '' then data = data .. ',"actor":' .. json(actor) end
  if body ~= '' then data = data .. ',' .. body end
  local traced = f[15] and f[15] ~= '' and {'traceparent', f[15]} or {}
  if traced[1] and f[16] and f[16] ~= '' then traced[3], traced[4] = 'tracestate', f[16] end
  redis.call('XADD', key(stream), 'MAXLEN', '~', STREAM_MAX, '*', 'specversion', '1.0', 'id', id .. ':' .. int(seq), 'source', 'didflow',
    'type', 'didflow.job.' .. state .. '.v1', 'subject', id, 'time', now_rfc3339(),
    'datacontenttype', 'application/json', 'data', data .. '}', unpack(traced))
  return 'seq', int(seq), 'emitted_state', state, 'emitted_reason', f[2] or ''
end

local function emit(stream, id, state, body)
  local f = redis.call('HMGET', job_key(id), 'kind', 'reason', 'account', 'reference', 'key', 'attempt', 'created_ms', 'started_ms', 'finished_ms',
    'progress', 'seq', 'parent', 'actor', 'decided_by', 'traceparent', 'tracestate')
  local fields = {tell_event(stream, id, f, state, body)}
  if #fields > 0 then redis.call('HSET', job_key(id), unpack(fields)) end
end
