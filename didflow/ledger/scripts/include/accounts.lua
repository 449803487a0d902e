-- One event about an account. `status` '' where it has none.
--- @include "include/events.lua"
--- @include "include/reading.lua"
local function emit_account(account, word, status, message)
  announce_next('account:' .. account, 'didflow.account.' .. word .. '.v1', account,
    '{"account":' .. json(account) .. ',"status":' .. json_int(status) .. ',"message":' .. json(message) .. '}')
end
