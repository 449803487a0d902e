-- The looks of an account, each by its question: didflow/ledger/catalogue.py.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
local DROPPED_AT_ONCE = 100

-- Keeps a look unless a newer one is kept, and drops the oldest ones that are too much. Returns 'ok' or 'older'.
local function keep_look(account, question, began_ms, text, kept_ms, most, most_bytes)
  local looks, began, bytes = key('catalogue', 'looks', account), key('catalogue', 'began', account), key('catalogue', 'bytes', account)

  local function drop(one)
    redis.call('DECRBY', bytes, redis.call('HSTRLEN', looks, one))
    redis.call('HDEL', looks, one)
    redis.call('ZREM', began, one)
  end

  local known = redis.call('ZSCORE', began, question)
  if known and tonumber(known) > tonumber(began_ms) then return 'older' end
  drop(question)
  redis.call('HSET', looks, question, text)
  redis.call('ZADD', began, began_ms, question)
  redis.call('INCRBY', bytes, #text)
  local oldest = redis.call('ZRANGE', began, 0, DROPPED_AT_ONCE - 1, 'WITHSCORES')
  for i = 1, #oldest, 2 do
    local too_old = now_ms() - tonumber(oldest[i + 1]) > kept_ms
    local too_much = redis.call('ZCARD', began) > most or tonumber(redis.call('GET', bytes)) > most_bytes
    if oldest[i] == question or not (too_old or too_much) then break end
    drop(oldest[i])
  end
  for _, one in ipairs({looks, began, bytes}) do redis.call('PEXPIRE', one, kept_ms) end
  return 'ok'
end
