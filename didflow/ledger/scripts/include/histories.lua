-- The history of numbers. `happened`: number -> {what, record_id (text of digits, or nil), text (all of it, as a JSON object)}. Each entry, a JSON
-- object, has the hash of the entry before it, so that an edit by hand shows; an entry's own hash is of the number and the entry's text. What the
-- job said last of a number isn't said again: a script, or an attempt, that runs twice adds one entry. Damage here never keeps a job from
-- writing; reading the history shows it.
--- @include "include/clock.lua"
--- @include "include/holders.lua"
--- @include "include/inventory.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
--- @include "include/records.lua"
local HISTORY_MOST = 100  -- entries of a number; the chain continues from the hash where it was cut
-- `count` of all entries ever, `hash` of the newest, `dropped`: how many of the oldest aren't kept, `cut`: hash of the newest of those; what the
-- newest entry says, of which job.
local HEAD = {'count', 'number', 'hash', 'string', 'dropped', 'number', 'cut', 'string', 'job', 'string', 'what', 'string'}
local sha1hex = FAKE and function() return string.rep('0', 40) end or redis.sha1hex  -- fakeredis has none: its chains hold nothing
local NOT_OURS = {released = true, already_released = true, not_bought = true, accepted_in_cart = true, disappeared = true}
local RELEASED = {released = true, already_released = true}

-- An entry that a script makes by itself.
local function happening(what, record_id)
  return {what = what, record_id = record_id, text = '{"what":' .. json(what) .. (record_id and ',"record_id":' .. record_id or '') .. '}'}
end

-- `decision`: {kind, account}, where a person decided and no job did it; then `id` is '', and every entry is one.
local function tell_history(id, happened, decision)
  local numbers = {}
  for number in pairs(happened or {}) do numbers[#numbers + 1] = number end
  if #numbers == 0 then return end
  local f = decision or redis.call('HMGET', job_key(id), 'kind', 'account', 'reference', 'actor')
  local now = int(now_ms())
  local told = ',"at_ms":' .. now .. ',"job":' .. json(id) .. ',"kind":' .. cjson.encode(f[1] or '') .. ',"account":'
    .. cjson.encode(f[2] or '') .. ',"reference":' .. json(f[3]) .. ',"actor":' .. json(f[4]) .. ',"happened":'
  local TOGETHER = 1000
  for first = 1, #numbers, TOGETHER do
    local some = {unpack(numbers, first, math.min(first + TOGETHER - 1, #numbers))}
    local heads = redis.pcall('HMGET', key('history'), unpack(some))
    if heads.err then return end
    local written, gone, here = {}, {}, {}
    for place, number in ipairs(some) do
      local one = happened[number]
      local head = read_record(HEAD, heads[place]) or {count = 0, hash = '', dropped = 0, cut = '', job = '', what = ''}
      if decision or head.job ~= id or head.what ~= one.what then
        note_holder(number, one.what, one.record_id, f[2], f[3])
        if RELEASED[one.what] then forget_in_inventory(f[2] or '', number, one.record_id) end
        local entries = key('history', number)
        head.count = head.count + 1
        local entry = '{"n":' .. int(head.count) .. ',"after":' .. json(head.hash) .. told .. one.text .. '}'
        head.hash, head.job, head.what = sha1hex(number .. entry), id, one.what
        redis.pcall('RPUSH', entries, entry)
        if head.count - head.dropped > HISTORY_MOST then
          local oldest = redis.pcall('LPOP', entries)
          head.dropped, head.cut = head.dropped + 1, type(oldest) == 'string' and sha1hex(number .. oldest) or ''
        end
        written[#written + 1], written[#written + 2] = number, record_text(HEAD, head)
        if NOT_OURS[one.what] then
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
