-- Records: JSON objects with named fields, which a hash field or a list element holds. Each lies in one part, which has its shape; Python reads
-- it with a model of its own. `shape`: the names of the fields, each followed by its type, in the order in which they are written. So equal
-- records are equal texts, and whole numbers are exact up to 2^53; cjson would write 14 digits.
--- @include "include/keys.lua"
local function record_text(shape, record)
  local text, comma = '{"', ''
  for i = 1, #shape, 2 do
    local value = record[shape[i]]
    -- Lua writes numbers of up to 14 digits in full, and faster than int() does.
    if shape[i + 1] ~= 'number' then value = cjson.encode(value) elseif value >= 1e14 then value = int(value) end
    text, comma = text .. comma .. shape[i] .. '":' .. value, ',"'
  end
  return text .. '}'
end

local function is_record(shape, found)
  if type(found) ~= 'table' then return false end
  for i = 1, #shape, 2 do
    local value = found[shape[i]]
    if type(value) ~= shape[i + 1] then return false end
    if shape[i + 1] == 'number' and not (value >= 0 and value <= 2 ^ 53) then return false end
  end
  return true
end

-- nil if there is none, or if it can't be read: then another program wrote it.
local function read_record(shape, text)
  if not text or text == '' then return nil end
  local read, found = pcall(cjson.decode, text)
  return read and is_record(shape, found) and found or nil
end
