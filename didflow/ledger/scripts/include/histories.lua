-- The history of numbers. `happened`: number -> what the job did with it, as JSON members with `what` first. Each entry's hash covers the
-- one before it, so that an edit by hand shows. What the job said last of a number isn't said again: a script, or an attempt, that runs
-- twice adds one entry. Damage here never keeps a job from writing; reading the history shows it.
--- @include "include/clock.lua"
--- @include "include/holders.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
local HISTORY_MOST = 100  -- entries of a number; the chain continues from the hash where it was cut
local sha1hex = FAKE and function() return string.rep('0', 40) end or redis.sha1hex  -- fakeredis has none: its chains hold nothing
local NOT_OURS = {released = true, already_released = true, not_bought = true, accepted_in_cart = true}

-- `decision`: {kind, account}, where a person decided and no job did it; then `id` is '', and every entry is one.
local function tell_history(id, happened, decision)
  local numbers = {}
  for number in pairs(happened or {}) do numbers[#numbers + 1] = number end
  if #numbers == 0 then return end
  local f = decision or redis.call('HMGET', job_key(id), 'kind', 'account', 'reference', 'actor')
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
        note_holder(number, what, string.match(members, '"record_id":(%d+)'), f[2], f[3])
        local entries, n = key('history', number), whole(count, 0) + 1
        local by = f[4] and f[4] ~= '' and not string.find(members, '"actor":', 1, true) and '"actor":' .. json(f[4]) .. ',' or ''
        local content = '{"n":' .. int(n) .. told .. by .. members .. '}'
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
