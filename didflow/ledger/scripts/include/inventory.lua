-- The mirror of an account's numbers. A number's row is lines: its slot, and the parts of didflow/ledger/inventory_rows.py; its line, of
-- LINE characters, is at that slot: see didflow/ledger/inventory_columns.py. No script reads what is in a part.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
--- @include "include/members.lua"
--- @include "include/reading.lua"
local LINE, PER_SEGMENT, NUMBER_CHARS, SEEN_AT, MISSED_AT, MOMENT_CHARS = 123, 512, 16, 16, 23, 7
local DIGITS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'

local function moment_code(ms)
  local found = {}
  for place = MOMENT_CHARS, 1, -1 do
    local digit = ms % 64
    found[place], ms = string.sub(DIGITS, digit + 1, digit + 1), (ms - digit) / 64
  end
  return table.concat(found)
end

local function inventory_key(what, account, ...) return key('inventory', what, account, ...) end

local function line_place(account, slot)
  return inventory_key('lines', account, int(math.floor(slot / PER_SEGMENT))), (slot % PER_SEGMENT) * LINE
end

-- Writes at an offset of the number's line. A segment has its full size from the start: one that grows would reserve twice as much.
local function write_line(account, slot, offset, text)
  local segment, place = line_place(account, slot)
  if redis.call('EXISTS', segment) == 0 then redis.call('SETRANGE', segment, PER_SEGMENT * LINE - 1, '\n') end
  redis.call('SETRANGE', segment, int(place + offset), text)
end

-- When the number of this slot was seen last, in the line's digits, which sort as moments do.
local function last_seen(account, slot)
  local segment, place = line_place(account, slot)
  return redis.call('GETRANGE', segment, int(place + SEEN_AT), int(place + SEEN_AT + MOMENT_CHARS - 1))
end

-- Writes columns ({offset, text}, in any order) of a line that is there, which was seen now and isn't missed. One write takes a fraction of the
-- time of several.
local function patch_line(account, slot, columns)
  local segment, place = line_place(account, slot)
  local line = redis.call('GETRANGE', segment, int(place), int(place + LINE - 1))
  for _, column in ipairs(columns) do line = string.sub(line, 1, column[1]) .. column[2] .. string.sub(line, column[1] + #column[2] + 1) end
  line = string.sub(line, 1, SEEN_AT) .. moment_code(now_ms()) .. moment_code(0) .. string.sub(line, MISSED_AT + MOMENT_CHARS + 1)
  redis.call('SETRANGE', segment, int(place), line)
end

-- Whether the line at this slot is the number's: a slot may have been given to another one.
local function line_is_of(account, slot, number)
  local segment, place = line_place(account, slot)
  local shown = redis.call('GETRANGE', segment, int(place), int(place + NUMBER_CHARS - 1))
  return string.match(shown, '^(%S*)') == string.sub(number, 1, NUMBER_CHARS)
end

-- The slot of a row, the parts behind it, and all of it ('' for none).
local function read_row(account, number)
  local row = redis.call('HGET', inventory_key('rows', account), number) or ''
  local slot, parts = string.match(row, '^(%d+)\n(.*)$')
  return whole(slot), parts, row
end

-- `slot`: the one that it has, if any.
local function put_row(account, number, slot, parts, line)
  if not slot or not line_is_of(account, slot, number) then
    slot = whole(redis.call('RPOP', inventory_key('free', account)))
    if not slot then slot = redis.call('HINCRBY', inventory_key('state', account), 'slots', 1) - 1 end
  end
  redis.call('HSET', inventory_key('rows', account), number, int(slot) .. '\n' .. parts)
  write_line(account, slot, 0, line)
  return slot
end

local function drop_line(account, slot)
  write_line(account, slot, 0, string.rep(' ', LINE - 1) .. '\n')
  redis.call('LPUSH', inventory_key('free', account), int(slot))
end

local function drop_row(account, number)
  local slot = read_row(account, number)
  redis.call('HDEL', inventory_key('rows', account), number)
  if slot and line_is_of(account, slot, number) then drop_line(account, slot) end
end

-- A sweep that began before this moment adds nothing of this record: a job knows better.
local function note_newer(account, number, record)
  redis.call('ZADD', inventory_key('newer', account), int(now_ms()), member_of(number, record or ''))
end

local function is_newer(account, number, record, since_ms)
  local score = tonumber(redis.call('ZSCORE', inventory_key('newer', account), member_of(number, record)) or '')
  return score and score >= since_ms
end

-- What jobs confirm: number -> {record, groups (letters), {part: text}, {{offset, text}, …}, parts and line of a number that isn't there}.
-- The last two may be '': then the next sweep adds it.
local function confirm_all(account, confirmed)
  for number, one in pairs(confirmed or {}) do
    local record, groups, changed, columns, fresh, line = unpack(one, 1, 6)
    local slot, parts = read_row(account, number)
    local old = {}
    for part in string.gmatch((parts or '') .. '\n', '([^\n]*)\n') do old[#old + 1] = part end
    if slot and old[2] == record and line_is_of(account, slot, number) then
      for place, text in pairs(changed) do old[tonumber(place) - 1] = text end
      local marks = string.gsub(old[1], '%a%d+', function(mark) return string.find(groups, string.sub(mark, 1, 1), 1, true) and '' or mark end)
      for letter in string.gmatch(groups, '%a') do marks = marks .. letter .. int(now_ms()) end
      old[1] = marks
      redis.call('HSET', inventory_key('rows', account), number, int(slot) .. '\n' .. table.concat(old, '\n'))
      patch_line(account, slot, columns)
    elseif fresh ~= '' then
      local marks = ''
      for letter in string.gmatch(groups, '%a') do marks = marks .. letter .. int(now_ms()) end
      slot = put_row(account, number, slot, marks .. string.match(fresh, '^[^\n]*(\n.*)$'), line)
      write_line(account, slot, SEEN_AT, moment_code(now_ms()) .. moment_code(0))
    else
      note_newer(account, number, record)
    end
  end
end

-- The record was released. Another record of the number, bought again, stays.
local function forget_in_inventory(account, number, record)
  local slot, parts = read_row(account, number)
  local shown = string.match(parts or '', '^[^\n]*\n(%d+)\n')
  record = record or shown
  if record then note_newer(account, number, record) end
  if shown and shown ~= record then return end
  if slot or parts then drop_row(account, number) end
end
