-- audit_forget: forget the oldest entries of the audit: those that are old enough, and those above the most that are kept.
-- ARGV  batch, kept_ms, most
-- Reply how many were forgotten
-- Twice: the second run finds none, or the next.
-- flags: allow-oom
--- @include "include/clock.lua"
--- @include "include/keys.lua"
local stream, before_ms = key('audit'), now_ms() - tonumber(ARGV[2])
local sha1hex = FAKE and function() return string.rep('0', 40) end or redis.sha1hex
local above = redis.call('XLEN', stream) - tonumber(ARGV[3])
local gone, text = {}, nil
for place, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', ARGV[1])) do
  if place > above and tonumber(string.match(entry[1], '^%d+')) >= before_ms then break end
  gone[#gone + 1], text = entry[1], entry[2][2]
end
if #gone == 0 then return 0 end
local read, last = pcall(cjson.decode, text)
local n = read and type(last) == 'table' and tonumber(last.n) or 0
redis.call('SET', key('audit', 'cut'), int(n) .. ' ' .. sha1hex(text))
redis.call('XDEL', stream, unpack(gone))
return #gone
