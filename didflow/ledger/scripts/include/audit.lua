-- The audit: who changed what, when and why, written by the script that makes the change. Each entry, a JSON object, has the hash of the entry
-- before it, so that an edit by hand shows; an entry's own hash is that of its text. `audit:head` is 'count hash' of the newest entry,
-- `audit:cut` the same of the newest entry that isn't kept.
--- @include "include/clock.lua"
--- @include "include/keys.lua"
-- Behind the arguments of every script that has this part: the client's own name, '' for a worker; and JSON {reason?, request?}, which goes into
-- the entry as it is. See Commands.run.
local CALL = table.remove(ARGV)
local CALLING_ACTOR = table.remove(ARGV)
local audit_sha1hex = FAKE and function() return string.rep('0', 40) end or redis.sha1hex  -- fakeredis has none: its chain holds nothing

-- `what`: the verb; `on`: ids of what was changed, as a JSON object; `actor` '': no person and no key, so nothing is written.
local function note_audit(what, actor, on, detail)
  if not actor or actor == '' then return end
  local head = redis.call('GET', key('audit', 'head')) or ''
  local count, after = string.match(head, '^(%d+) (%x+)$')
  local n = int((tonumber(count) or 0) + 1)
  local entry = '{"n":' .. n .. ',"after":"' .. (after or '') .. '","at_ms":' .. int(now_ms()) .. ',"actor":' .. cjson.encode(actor)
    .. ',"what":"' .. what .. '","on":' .. on .. (detail and detail ~= '' and ',"detail":' .. cjson.encode(detail) or '') .. ',"call":' .. CALL .. '}'
  redis.call('XADD', key('audit'), '*', 'entry', entry)
  redis.call('SET', key('audit', 'head'), n .. ' ' .. audit_sha1hex(entry))
end
