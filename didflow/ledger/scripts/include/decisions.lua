-- Stores a person's decision that no job records. Without an actor it wasn't a person's decision.
--- @include "include/audit.lua"
--- @include "include/keys.lua"
--- @include "include/reading.lua"
local DECISIONS_MOST = 10000

local function note_decision(what, subject, actor, detail)
  if not actor or actor == '' then return end
  redis.call('XADD', key('decisions'), 'MAXLEN', '~', DECISIONS_MOST, '*', 'what', what, 'subject', subject, 'actor', actor, 'detail', detail or '')
  note_audit(what, actor, '{"subject":' .. json(subject) .. '}', detail)
end
