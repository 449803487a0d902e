-- Sessions of the console: browsers that are logged in.
--- @include "include/clock.lua"
-- Whether a session has ended by its expiry, or because it was idle for too long.
local function is_over(session, used_ms, idle_ms) return session.until_ms <= now_ms() or used_ms + idle_ms <= now_ms() end
