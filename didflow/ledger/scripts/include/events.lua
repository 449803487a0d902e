--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
local STREAM_MAX = 1000000  -- entries; the hard maximum

-- Writes a CloudEvents entry that is about no single job; `data` is JSON.
local function announce(id, kind, subject, data)
  redis.call('XADD', key('events'), 'MAXLEN', '~', STREAM_MAX, '*', 'specversion', '1.0', 'id', id, 'source', 'didflow', 'type', kind,
    'subject', subject, 'time', rfc3339(now_ms()), 'datacontenttype', 'application/json', 'data', data)
end

-- Writes one CloudEvents entry about a job. `f`: what its hash says of kind, reason, account, reference, key, attempt, created_ms, started_ms,
-- finished_ms, progress, seq, parent, actor and decided_by, in this order. `body` is JSON members that the caller has already encoded, or ''.
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
  redis.call('XADD', key(stream), 'MAXLEN', '~', STREAM_MAX, '*', 'specversion', '1.0', 'id', id .. ':' .. int(seq), 'source', 'didflow',
    'type', 'didflow.job.' .. state .. '.v1', 'subject', id, 'time', rfc3339(now_ms()),
    'datacontenttype', 'application/json', 'data', data .. '}')
  return 'seq', int(seq), 'emitted_state', state, 'emitted_reason', f[2] or ''
end

local function emit(stream, id, state, body)
  local f = redis.call('HMGET', job_key(id), 'kind', 'reason', 'account', 'reference', 'key', 'attempt', 'created_ms', 'started_ms', 'finished_ms',
    'progress', 'seq', 'parent', 'actor', 'decided_by')
  local fields = {tell_event(stream, id, f, state, body)}
  if #fields > 0 then redis.call('HSET', job_key(id), unpack(fields)) end
end
