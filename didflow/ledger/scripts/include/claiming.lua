-- Takes a due job for one attempt: raises the token, counts the attempt (so that a crash counts), sets the lease. `claimant` is unique to this
-- claim: a second claim of the same attempt gets the same reply. `version`: of what is stored of a job, as the worker knows it; `runs_behind_gate`:
-- the kinds that move no money, in words; `epoch`: as notice_restart says; `alone`: the claimant's process runs nothing else meanwhile. A job with which workers died
-- is left to such a one.
-- Returns {'no', why} or {'yes', token, 'probe' | '', job hash as a flat list, epoch, 'closed' | '' (the gate of its account)}
--- @include "include/batches.lua"
--- @include "include/clock.lua"
--- @include "include/deaths.lua"
--- @include "include/events.lua"
--- @include "include/gates.lua"
--- @include "include/keys.lua"
--- @include "include/kinds.lua"
--- @include "include/nudges.lua"
--- @include "include/reading.lua"
--- @include "include/shared_writes.lua"
--- @include "include/states.lua"
--- @include "include/waiting.lua"
--- @include "include/wakes.lua"
local function claim_job(id, claimant, lease_ms, probe_ms, version, runs_behind_gate, epoch, alone)
  assert(claimant ~= '', 'a claim needs a claimant: workers without one would share their jobs')
  local job = job_key(id)
  local f = redis.call('HMGET', job, 'state', 'due_ms', 'account', 'kind', 'cancel', 'token', 'attempt', 'crashes', 'started_ms', 'emitted_state', 'v',
    'reference', 'key', 'created_ms', 'finished_ms', 'progress', 'seq', 'parent', 'deaths', 'actor', 'decided_by',
    'emitted_reason', 'traceparent', 'tracestate')
  local state = f[1]
  if not state then return {'no', 'gone'} end
  if f[18] and f[5] ~= '1' and is_called_off(f[5], f[18]) then
    redis.call('HSET', job, 'cancel', '1')
    f[5] = '1'
  end
  local gate = gate_closed_in(epoch, f[3] or '') and 'closed' or ''
  if state == 'running' and redis.call('HGET', job, 'owner') == claimant then
    return {'yes', redis.call('HGET', job, 'token'), '', redis.call('HGETALL', job), epoch, gate}
  end
  if state ~= 'queued' and state ~= 'scheduled' and state ~= 'waiting' then return {'no', state} end
  local now = now_ms()
  if is_early(f[2], now) then return {'no', 'early'} end

  local function hold(reason, until_ms)
    look_at(id, redis.call('HGET', job, 'lane'), until_ms)
    redis.call('HSET', job, 'due_ms', until_ms, 'unanswered', '0')
    if state ~= 'waiting' or redis.call('HGET', job, 'reason') ~= reason then
      redis.call('HSET', job, 'reason', reason)
      set_state(id, state, 'waiting')
      emit('events', id, 'waiting', '')
    end
    return {'no', reason}
  end

  -- Those whose workers turn out to live count no more.
  local deaths, crashes, crashes_alone = f[19] or '', whole(f[8], 0), nil
  if crashes > 0 or deaths ~= '' then
    deaths, crashes, crashes_alone = true_deaths(deaths)
    redis.call('HSET', job, 'deaths', deaths, 'crashes', int(crashes), 'crashes_alone', int(crashes_alone))
    if crashes >= SUSPECT and not alone then
      look_at(id, redis.call('HGET', job, 'lane'), now + 5000)  -- In case the worker that got this reply can't run it alone.
      redis.call('HSET', job, 'unanswered', '0')
      return {'no', 'alone'}
    end
  end

  -- Another worker is to take it: this one might drop what it doesn't know. From here on no older one than this may.
  local written = whole(f[11], 1)
  if written > version then return hold('newer_version', int(now + 5000)) end

  -- While the gate is closed only what has to be settled runs, and what is ended; and kinds that are known to move no money. A job of an
  -- account that no worker looks after isn't held here: otherwise it would never learn that its account is unknown.
  local moves_money = not is_one_of(runs_behind_gate, f[4])
  if gate == 'closed' and moves_money and f[5] ~= '1' and redis.call('HEXISTS', key('gate', f[3] or ''), 'checker') == 1
    and redis.call('SISMEMBER', key('open', f[3] or ''), id) == 0 then
    wait_in(key('gate', f[3] or '', 'held'), id)
    return hold('reconciling', int(now + 60000))
  end

  local account = key('account', f[3] or '')
  local pause = redis.call('HMGET', account, 'paused', 'probe_ms')
  local probe = ''
  if pause[1] == '1' then
    -- One job occasionally may try whether the account works again; the others wait for what it finds.
    if tonumber(pause[2]) > now then
      wait_in(account .. ':held', id)
      return hold('account_paused', pause[2])
    end
    redis.call('HSET', account, 'probe_ms', int(now + probe_ms))
    probe = 'probe'
  end

  local token = int(math.max(whole(f[6], now + UNREADABLE_TOKEN) + 1, tonumber(epoch)))
  -- Lost events may have been read by a consumer: their ids aren't reused.
  local seq = f[17]
  if token == epoch and epoch ~= '1' then seq = int(count_up(id, 'seq', 1000, now)) end
  local attempt, started_ms, fields = int(whole(f[7], 0) + 1), f[9] or int(now), {}
  -- A waiting job may do nothing but check whether it still has to wait: then readers continue to show it as waiting, until it advances
  -- (see save), waits for something else, or ends. A retry after a failure does emit a new event.
  if f[10] ~= 'waiting' or f[22] == 'retry' then
    fields = {tell_event('events', id, {f[4], '', f[3], f[12], f[13], attempt, f[14], started_ms, f[15], f[16], seq, f[18], f[20], f[21], f[23], f[24]},
      'running', '')}
  end
  redis.call('HSET', job, 'state', 'running', 'token', token, 'attempt', attempt, 'crashes', int(crashes), 'owner', claimant,
    'lease_ms', int(now + lease_ms), 'lease_for', int(lease_ms), 'alone', alone and '1' or '0', 'due_ms', '', 'reason', '', 'unanswered', '0', 'started_ms', started_ms, 'cancel_known', f[5] or '',
    'v', int(version), unpack(fields))
  add_to(key('leases'), int(now + lease_ms), id)
  remove_from(key('due'), id)
  if state == 'waiting' then wait_no_more(id, f[3] or '') end
  list_under(id, f[18], f[14], state, 'running')
  return {'yes', token, probe, redis.call('HGETALL', job), epoch, gate}
end
