-- Reservations of numbers. Each is a record: `holder` is a job's id, or 'quarantine'; `until_ms` is 0 while the job lives.
--- @include "include/keys.lua"
--- @include "include/members.lua"
--- @include "include/records.lua"
local RESERVATION = {'holder', 'string', 'until_ms', 'number'}

local function reservation(holder, until_ms) return record_text(RESERVATION, {holder = holder, until_ms = until_ms}) end

-- Whether the job holds the number now. A number that it has tainted is reserved, and not held.
local function is_held_by(id, account, number) return redis.call('HGET', key('reserved', account), number) == reservation(id, 0) end

-- Whether a reservation, as the hash has it, is in force. One that can't be read is.
local function is_in_force(text, now)
  if not text then return false end
  local found = read_record(RESERVATION, text)
  return not found or found.until_ms == 0 or found.until_ms > now
end

-- Keeps a number from every job until that moment, also when this one has ended.
local function keep_reserved(holder, account, number, until_ms)
  redis.call('HSET', key('reserved', account), number, reservation(holder, until_ms))
  redis.call('ZADD', key('reserved_until'), int(until_ms), member_of(account, number))
end
