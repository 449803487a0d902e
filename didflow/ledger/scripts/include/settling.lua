-- Ends what the job holds, if it does: from here only what was bought counts.
--- @include "include/keys.lua"
--- @include "include/spending.lua"
local function settle_spend(id, bought, now)
  local minute = int(math.floor(now / MINUTE_MS))
  for _, scope in pairs(spend_scopes(id)) do
    redis.call('HDEL', key('held', scope), id)
    if bought.numbers > 0 then
      local sum = {numbers = bought.numbers, usd = bought.usd}
      add_spend(sum, redis.call('HGET', key('spent', scope), minute))
      redis.call('HSET', key('spent', scope), minute, spend_text(sum))
      redis.call('ZADD', key('spent_until'), int(now + WINDOWS_MS.day + MINUTE_MS), scope)
    end
  end
end

-- A job that ends with its checkout unsettled: all that it holds counts as bought, which errs on the safe side.
local function settle_unsettled(id, account, now)
  local held = {numbers = 0, usd = 0}
  add_spend(held, redis.call('HGET', key('held', 'account:' .. account), id))
  if held.numbers > 0 then settle_spend(id, held, now) end
end
