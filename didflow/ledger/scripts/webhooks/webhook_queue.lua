-- webhook_queue: queue messages for an endpoint again. A job's messages are delivered in the order of the stream, also those.
-- ARGV  endpoint, actor: who does it, what of it (for the record), message ids
-- Reply how many are queued now; others aren't kept any more
-- Twice: the second run finds them queued.
--- @include "include/clock.lua"
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
--- @include "include/webhooks.lua"
local id, count, is_new = ARGV[1], 0, false
if redis.call('HEXISTS', key('webhooks'), id) == 0 then return 0 end
for i = 4, #ARGV do
  local entry = redis.call('XRANGE', key('webhooks', 'messages'), ARGV[i], ARGV[i])[1]
  if entry then
    local job
    for place = 1, #entry[2], 2 do
      if entry[2][place] == 'key' then job = entry[2][place + 1] end
    end
    is_new = queue_message(id, job, ARGV[i]) or is_new
    if not is_leased(id, job) then redis.call('ZADD', webhook_key(id, 'due'), int(now_ms()), job) end
    count = count + 1
  end
end
if is_new then note_decision('webhooks redeliver', redis.call('HGET', key('webhooks'), id), ARGV[2], ARGV[3]) end
return count
