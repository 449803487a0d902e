-- What a worker read of some numbers at the provider, at most a page of its list:
-- {seen: [[number, slot], ...] (as they were), rows: [[number, record, row as it was read ('' = none), parts, line, [[event type, data], ...],
-- [what happened, see tell_history, ...]], ...]}
--- @include "include/inventory.lua"
--- @include "include/sweeps.lua"

-- `read_ms`: nothing of it was read before. What was seen after `newer_ms` stays. So does a number that isn't there because a job knew
-- better after `known_ms`, or, with `adds` false, for any reason. Returns the numbers that aren't as they were read: nothing was
-- written of them.
local function take_page(account, page, read_ms, newer_ms, known_ms, adds)
  local read, newer = moment_code(read_ms), moment_code(newer_ms)

  local function see(number, slot)
    if not slot or not line_is_of(account, slot, number) then return false end
    if last_seen(account, slot) < read then write_line(account, slot, SEEN_AT, read .. moment_code(0)) end
    return true
  end

  local changed = {}
  for _, one in ipairs(page.seen) do
    if not see(one[1], one[2]) then changed[#changed + 1] = one[1] end
  end
  for _, one in ipairs(page.rows) do
    local number, record, was, parts, line = unpack(one, 1, 5)
    local slot, now_parts, row = read_row(account, number)
    if now_parts == parts then
      if not see(number, slot) then put_row(account, number, slot, parts, line) end
    elseif slot and line_is_of(account, slot, number) and last_seen(account, slot) > newer then
      see(number, slot)
    elseif was == '' and row == '' and not adds then
      -- A complete sweep that began later didn't show it.
    elseif row ~= was then
      changed[#changed + 1] = number
    elseif was == '' and is_newer(account, number, record, known_ms) then
      changed[#changed + 1] = number
    else
      put_row(account, number, slot, parts, line)
      tell_world(account, number, one[6], one[7])
    end
  end
  return changed
end
