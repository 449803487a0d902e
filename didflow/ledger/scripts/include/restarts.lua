-- Notices that the server has restarted, or that another one has its place: writes may be lost then, and a new epoch begins.
--- @include "include/clock.lua"
--- @include "include/events.lua"
--- @include "include/keys.lua"
--- @include "include/nudges.lua"
--- @include "include/reading.lua"
--- @include "include/server.lua"
--- @include "include/states.lua"
--- @include "include/steps.lua"
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
  redis.call('DEL', key('waking'))  -- Gates are closed again. Jobs that wait for an account resume when they are due.
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
