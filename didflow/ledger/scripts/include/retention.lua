-- How long an ended job is kept, for scripts that a producer runs: the workers' setting holds, `otherwise` before there was a worker.
--- @include "include/keys.lua"
local function workers_retention_ms(otherwise) return tonumber(redis.call('HGET', key('epoch'), 'retention_ms') or otherwise) end
